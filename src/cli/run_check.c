/* run_check.c - checks of single option values, made while the options are read. */
#include "cli/run_body.h"

#include <arpa/inet.h>
#include <strings.h>

static bool ip_valid(const char *s)
{
	unsigned char addr[16];

	return inet_pton(AF_INET, s, addr) == 1 || inet_pton(AF_INET6, s, addr) == 1;
}

int check_add_host(const char *v, struct err *e)
{
	size_t name = strcspn(v, ":="); /* both name:ip and name=ip, with ip perhaps in [] */
	AUTO_FREE char *ip = NULL;

	if (name == 0 || !v[name] || !v[name + 1])
		return err_set(e, ERR_INVALID, "bad format for add-host: \"%s\"", v);
	if (streq(v + name + 1, "host-gateway"))
		return 0;
	ip = xstrdup(v + name + 1);
	if (*ip == '[' && str_ends(ip, "]")) {
		ip[strlen(ip) - 1] = '\0';
		memmove(ip, ip + 1, strlen(ip));
	}
	if (!ip_valid(ip))
		return err_set(e, ERR_INVALID, "invalid IP address in add-host: \"%s\"", v + name + 1);
	return 0;
}

int check_attach(const char *v, struct err *e)
{
	if (strcasecmp(v, "stdin") != 0 && strcasecmp(v, "stdout") != 0 && strcasecmp(v, "stderr") != 0)
		return err_set(e, ERR_INVALID, "valid streams are STDIN, STDOUT and STDERR");
	return 0;
}

int check_weight_device(const char *v, struct err *e)
{
	return weight_device_json(v, NULL, e);
}
int check_throttle_bytes(const char *v, struct err *e)
{
	return throttle_json(v, true, NULL, e);
}
int check_throttle_ops(const char *v, struct err *e)
{
	return throttle_json(v, false, NULL, e);
}
int check_gpus(const char *v, struct err *e)
{
	return gpus_json(v, NULL, e);
}
int check_mount(const char *v, struct err *e)
{
	return mount_json(v, NULL, e);
}
int check_ulimit(const char *v, struct err *e)
{
	return ulimit_json(v, NULL, e);
}
int check_network(const char *v, struct err *e)
{
	return network_check(v, e);
}

/* "c 1:3 rwm": a type, numbers or stars, rights */
int check_device_rule(const char *v, struct err *e)
{
	const char *p = v;
	size_t n;
	bool good = strchr("acb", *p) && *p && p[1] == ' ';

	for (int i = 0; good && i < 2; i++) {
		p += i ? 1 : 2;
		n = *p == '*' ? 1 : strspn(p, "0123456789");
		good = n > 0 && p[n] == (i ? ' ' : ':');
		p += n;
	}
	if (!good || !p[1] || strspn(p + 1, "rwm") != strlen(p + 1) || strlen(p + 1) > 3)
		return err_set(e, ERR_INVALID, "invalid device cgroup format '%s'", v);
	return 0;
}

int check_ip(const char *v, struct err *e)
{
	if (!ip_valid(v))
		return err_set(e, ERR_INVALID, "IP address is not correctly formatted: %s", v);
	return 0;
}

int check_env(const char *v, struct err *e)
{
	if (!*v || *v == '=')
		return err_set(e, ERR_INVALID, "invalid environment variable: %s", v);
	return 0;
}

int check_link(const char *v, struct err *e)
{
	const char *colon = strchr(v, ':');

	if (!*v)
		return err_set(e, ERR_INVALID, "empty string specified for links");
	if (colon && strchr(colon + 1, ':'))
		return err_set(e, ERR_INVALID, "bad format for links: %s", v);
	return 0;
}

/* The kernel's namespaced parameters: the only ones that a container may have of its own */
int check_key_value_sysctl(const char *v, struct err *e)
{
	static const char *const names[] = { "kernel.msgmax=", "kernel.msgmnb=",         "kernel.msgmni=",
					     "kernel.sem=",    "kernel.shmall=",         "kernel.shmmax=",
					     "kernel.shmmni=", "kernel.shm_rmid_forced=" };
	bool known = strchr(v, '=') && (str_after(v, "net.") || str_after(v, "fs.mqueue."));

	for (size_t i = 0; i < ARRAY_LEN(names); i++)
		known |= str_after(v, names[i]) != NULL;
	if (!known)
		return err_set(e, ERR_INVALID, "sysctl '%s' is not allowed", v);
	return 0;
}
