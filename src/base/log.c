/* log.c - one line per event on stderr: time, level, text. Called at the top of a request, a worker or a program only. */
#include "base/base.h"

#include <stdatomic.h>
#include <stdio.h>

static _Atomic enum log_level current = LOG_INFO;

void log_level_set(enum log_level level)
{
	atomic_store(&current, level);
}

enum log_level log_level_get(void)
{
	return atomic_load(&current);
}

void log_write(enum log_level level, const char *fmt, ...)
{
	static const char *const names[] = { "error", "warning", "info", "debug" };
	char when[TIME_TEXT_MAX] = "";
	AUTO_STRB struct strb line = STRB_INIT;
	va_list ap;

	if (level > log_level_get())
		return;
	time_format(time_now_ns(), when);
	strb_addf(&line, "time=\"%s\" level=%s msg=\"", when, names[level]);
	va_start(ap, fmt);
	strb_addv(&line, fmt, ap);
	va_end(ap);
	strb_adds(&line, "\"\n");
	(void)fd_write_all(STDERR_FILENO, line.s, line.len); /* one write: lines of threads do not mix */
}
