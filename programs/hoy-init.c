/* hoy-init.c - process 1 of a container started with --init: runs the command as its only child, passes signals on to it, reaps whatever
 * is orphaned, and ends as the command ends. The same behaviour as `tini -s`, which Docker uses. Static, and it never allocates: it lives
 * as long as the container and should cost a few pages. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

/* Signals of our own faults must not wait in the set, they would end us in a loop; SIGTTIN and SIGTTOU must not stop us. */
static const int not_ours[] = { SIGFPE, SIGILL, SIGSEGV, SIGBUS, SIGABRT, SIGTRAP, SIGSYS, SIGTTIN, SIGTTOU };

static void complain(const char *what, const char *name)
{
	const char *why = strerror(errno);

	(void)!write(2, "hoy-init: ", 10);
	(void)!write(2, what, strlen(what));
	(void)!write(2, name, strlen(name));
	(void)!write(2, ": ", 2);
	(void)!write(2, why, strlen(why));
	(void)!write(2, "\n", 1);
}

/* A shell as the command must be able to control its jobs: a process group of its own, in front where there is a terminal. */
static void run(char **argv, const sigset_t *mask)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };

	if (setpgid(0, 0) == 0 && tcsetpgrp(0, getpgrp()) < 0 && errno != ENOTTY && errno != ENXIO && errno != EBADF)
		complain("putting the command in the foreground", "");
	(void)sigaction(SIGTTIN, &normal, NULL);
	(void)sigaction(SIGTTOU, &normal, NULL);
	(void)sigprocmask(SIG_SETMASK, mask, NULL);
	(void)execvp(argv[0], argv);
	{
		int why = errno;

		complain("exec ", argv[0]);
		_exit(why == ENOENT ? 127 : 126);
	}
}

/* True when the command itself has ended. */
static int reap(pid_t command, int *ret_code)
{
	int status, ended = 0;
	pid_t pid;

	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		if (pid != command)
			continue;
		*ret_code = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
		ended = 1;
	}
	return ended;
}

int main(int argc, char **argv)
{
	struct sigaction ignore = { .sa_handler = SIG_IGN };
	sigset_t all, before;
	pid_t command;
	int code = 0, sig;

	if (argc == 2 && strcmp(argv[1], "--version") == 0) {
		(void)!write(1, "hoy-init " HOY_VERSION "\n", sizeof "hoy-init " HOY_VERSION);
		return 0;
	}
	argv++;
	if (*argv && strcmp(*argv, "--") == 0)
		argv++;
	if (!*argv) {
		static const char usage[] = "usage: hoy-init -- COMMAND [ARGUMENT...]\n";

		(void)!write(2, usage, sizeof usage - 1);
		return 2;
	}
	(void)sigfillset(&all);
	for (size_t i = 0; i < sizeof not_ours / sizeof *not_ours; i++)
		(void)sigdelset(&all, not_ours[i]);
	(void)sigprocmask(SIG_SETMASK, &all, &before);
	(void)sigaction(SIGTTIN, &ignore, NULL);
	(void)sigaction(SIGTTOU, &ignore, NULL);
	(void)prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); /* where we are not process 1 */
	command = fork();
	if (command < 0) {
		complain("fork", "");
		return 126;
	}
	if (command == 0)
		run(argv, &before);
	for (;;) {
		sig = sigwaitinfo(&all, NULL);
		if (sig == SIGCHLD && reap(command, &code))
			return code;
		if (sig > 0 && sig != SIGCHLD)
			(void)kill(command, sig);
	}
}
