/* err.c - the error object: a kind for code, a sentence for people. */
#include "base/base.h"

#include <stdio.h>

static const int kind_errno[] = {
	[ERR_NONE] = 0,
	[ERR_SYSTEM] = -EIO,
	[ERR_INVALID] = -EINVAL,
	[ERR_UNAUTHORIZED] = -EACCES,
	[ERR_FORBIDDEN] = -EPERM,
	[ERR_NOT_FOUND] = -ENOENT,
	[ERR_CONFLICT] = -EBUSY,
	[ERR_NOT_MODIFIED] = -EALREADY,
	[ERR_UNAVAILABLE] = -EAGAIN,
	[ERR_NOT_IMPLEMENTED] = -ENOSYS,
	[ERR_TIMEOUT] = -ETIMEDOUT,
};

static void fill(struct err *e, const char *fmt, va_list ap, const char *tail)
{
	char text[sizeof e->msg];
	int n = vsnprintf(text, sizeof text, fmt, ap);

	if (n < 0)
		n = 0;
	if (tail && (size_t)n < sizeof text)
		n += snprintf(text + n, sizeof text - (size_t)n, ": %s", tail);
	if ((size_t)n >= sizeof text)
		memcpy(text + sizeof text - 4, "...", 4);
	memcpy(e->msg, text, sizeof text);
}

int err_set(struct err *e, enum err_kind kind, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		fill(e, fmt, ap, NULL);
		va_end(ap);
		e->kind = kind;
		e->sys = 0;
	}
	return kind_errno[kind];
}

int err_sys(struct err *e, int r, const char *fmt, ...)
{
	char reason[128] = "";
	va_list ap;

	if (e) {
		va_start(ap, fmt);
		(void)snprintf(reason, sizeof reason, "%s", strerror(-r)); /* thread-safe in glibc 2.32+ and musl */
		if (reason[0] >= 'A' &&
		    reason[0] <= 'Z') /* as Go prints it: clients match on "no such file or directory" */
			reason[0] = (char)(reason[0] + 32);
		fill(e, fmt, ap, reason);
		va_end(ap);
		e->kind = ERR_SYSTEM;
		e->sys = r;
	}
	return r;
}

int err_wrap(struct err *e, int r, const char *fmt, ...)
{
	va_list ap;

	if (e) {
		char old[sizeof e->msg];

		memcpy(old, e->msg, sizeof old);
		va_start(ap, fmt);
		fill(e, fmt, ap, old);
		va_end(ap);
		if (e->kind == ERR_NONE)
			e->kind = ERR_SYSTEM;
	}
	return r;
}
