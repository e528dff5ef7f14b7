/* hooks.c - OCI hooks: programs told the container's state on stdin, with a time limit. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <poll.h>
#include <sys/wait.h>

static const char *const stage_name[] = { "prestart",       "createRuntime", "createContainer",
					  "startContainer", "poststart",     "poststop" };

void json_string(struct strb *out, const char *s)
{
	strb_addc(out, '"');
	for (; *s; s++) {
		if (*s == '"' || *s == '\\')
			strb_addf(out, "\\%c", *s);
		else if ((unsigned char)*s < 0x20)
			strb_addf(out, "\\u%04x", (unsigned char)*s);
		else
			strb_addc(out, *s);
	}
	strb_addc(out, '"');
}

void state_json(struct strb *out, const struct plan *p, const char *status, pid_t pid)
{
	strb_adds(out, "{\"ociVersion\":\"1.2.0\",\"id\":");
	json_string(out, p->id ? p->id : "");
	strb_addf(out, ",\"status\":\"%s\"", status);
	if (pid > 0)
		strb_addf(out, ",\"pid\":%d", (int)pid);
	strb_adds(out, ",\"bundle\":");
	json_string(out, p->bundle ? p->bundle : "");
	if (p->n_annotations) {
		strb_adds(out, ",\"annotations\":{");
		for (size_t i = 0; i < p->n_annotations; i++) {
			if (i)
				strb_addc(out, ',');
			json_string(out, p->annotations[i].k);
			strb_addc(out, ':');
			json_string(out, p->annotations[i].v ? p->annotations[i].v : "");
		}
		strb_addc(out, '}');
	}
	strb_addc(out, '}');
}

bool hooks_any(const struct plan *p, enum hook_stage stage)
{
	for (size_t i = 0; i < p->n_hooks; i++)
		if (p->hooks[i].stage == (uint32_t)stage)
			return true;
	return false;
}

static void __attribute__((noreturn)) become_hook(const struct plan_hook *h, int input, int log_fd)
{
	static const char *const no_env[] = { NULL };
	const char *const own[] = { h->path, NULL };

	if (dup2(input, 0) < 0)
		_exit(126);
	if (log_fd >= 0 && (dup2(log_fd, 1) < 0 || dup2(log_fd, 2) < 0))
		_exit(126);
	(void)execve(h->path, (char *const *)(uintptr_t)(h->args && h->args[0] ? h->args : own),
		     (char *const *)(uintptr_t)(h->env ? h->env : no_env));
	_exit(errno == ENOENT ? 127 : 126);
}

static int run_one(const struct plan_hook *h, const char *state, int log_fd, struct err *e)
{
	AUTO_FD int input = memfd_of("state", state, strlen(state)), pidfd = -1;
	struct pollfd p = { .events = POLLIN };
	int status = 0, r = 1;
	pid_t pid;

	if (input < 0)
		return err_sys(e, input, "preparing the state for a hook");
	pid = spawn(0, -1, &pidfd);
	if (pid == 0)
		become_hook(h, input, log_fd);
	if (pid < 0)
		return err_sys(e, pid, "starting the hook %s", h->path);
	p.fd = pidfd;
	if (h->timeout_s > 0)
		do
			r = poll(&p, 1, (int)MIN(h->timeout_s, (int64_t)2000000) * 1000);
		while (r < 0 && errno == EINTR);
	if (r == 0)
		(void)kill(pid, SIGKILL);
	while (waitpid(pid, &status, 0) < 0 && errno == EINTR)
		;
	if (r == 0)
		return err_set(e, ERR_SYSTEM, "hook %s ran past specified timeout of %llds", h->path,
			       (long long)h->timeout_s);
	if (WIFSIGNALED(status))
		return err_set(e, ERR_SYSTEM, "hook %s: signal %d", h->path, WTERMSIG(status));
	if (WEXITSTATUS(status) == 127 && access(h->path, F_OK) < 0)
		return err_set(e, ERR_SYSTEM, "fork/exec %s: no such file or directory", h->path);
	if (WEXITSTATUS(status))
		return err_set(e, ERR_SYSTEM, "hook %s: exit status %d", h->path, WEXITSTATUS(status));
	return 0;
}

int act_hooks_run(const struct plan *p, unsigned stage, const char *status, pid_t pid, int log_fd, struct err *e)
{
	AUTO_STRB struct strb state = STRB_INIT;
	int r = 0, n = 0;

	if (stage >= ARRAY_LEN(stage_name) || !hooks_any(p, (enum hook_stage)stage))
		return 0;
	state_json(&state, p, status, pid);
	for (size_t i = 0; i < p->n_hooks; i++) {
		int k;

		if (p->hooks[i].stage != stage)
			continue;
		k = run_one(&p->hooks[i], strb_str(&state), log_fd, r < 0 ? NULL : e);
		if (k < 0 && r == 0)
			r = err_wrap(e, k, "error running %s hook #%d", stage_name[stage], n);
		if (r < 0 && stage != HOOK_POSTSTOP) /* after the end every one gets its turn */
			return r;
		n++;
	}
	return r;
}
