/* fuzz_message.c - anything as a message of hoyd: two bytes of type, then the body. The folder is one where nothing can be made,
 * and the descriptors that come along are no plans, so nothing starts. */
#include "shim/core.h"

#include <sys/socket.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct shim s = { .o = { .id = "0", .run_dir = -1 },
			  .control = { .fd = -1 },
			  .listener = { .fd = -1 },
			  .oom = { .fd = -1 },
			  .journal = { .fd = -1 },
			  .child = ACT_CHILD_INIT,
			  .netns = -1,
			  .cleaner = -1 };
	struct msg m = { 0 };
	int p[2];

	if (size < 2 || size > MSG_BODY_MAX)
		return 0;
	if (loop_open(&s.loop) < 0 || msg_pair(p) < 0)
		abort();
	s.o.folder = open("/proc/self/fdinfo", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	io_init(&s.io, &s);
	s.hello = true;
	control_open(&s, p[0]);
	m.type = (uint16_t)(data[0] % 40 + 1);
	m.seq = 1;
	m.n = size - 2;
	m.body = xmalloc(m.n + 1);
	memcpy(m.body, data + 2, m.n);
	m.body[m.n] = 0;
	for (m.n_fds = 0; m.n_fds < data[1] % 4u; m.n_fds++)
		m.fds[m.n_fds] = open("/dev/null", O_RDWR | O_CLOEXEC);
	control_message(&s, &m);
	msg_done(&m);
	while (s.conns)
		conn_close(s.conns);
	relay_drop_all(&s);
	io_finish(&s.io);
	logfile_free(s.log);
	free(s.log_name);
	journal_done(&s.journal);
	loop_close(&s.loop, &s.control);
	(void)close(p[1]);
	(void)close(s.o.folder);
	(void)close(s.loop.epoll);
	free(s.cgroup);
	return 0;
}
