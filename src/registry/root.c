/* root.c - filling the root before the sandbox closes. */
#include "registry/root.h"
#include "base/kernel.h"

#include <fcntl.h>
#include <sys/stat.h>

#define FILE_MAX ((size_t)4 << 20)

static void copy(int fd, const char *path)
{
	AUTO_FREE char *text = NULL;
	size_t n = 0;

	if (file_read(AT_FDCWD, path, FILE_MAX, &text, &n) == 0)
		(void)file_write(fd, path + 1, text, n, 0444);
}

static void read_system_ca(struct strb *ret)
{
	static const char *const places[] = { "/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
					      "/etc/ssl/ca-bundle.pem", "/etc/ssl/cert.pem" };

	for (size_t i = 0; i < ARRAY_LEN(places) && ret->len == 0; i++) {
		AUTO_FREE char *text = NULL;
		size_t n = 0;

		if (file_read(AT_FDCWD, places[i], FILE_MAX, &text, &n) == 0)
			strb_add(ret, text, n);
	}
}

int root_make(struct root *r, struct err *e)
{
	AUTO_FD int fs = (int)syscall(SYS_fsopen, "tmpfs", K_FSOPEN_CLOEXEC);
	AUTO_FD int fd = -1;

	if (fs < 0 || syscall(SYS_fsconfig, fs, K_FSCONFIG_SET_STRING, "size", "16m", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, K_FSCONFIG_SET_STRING, "mode", "0755", 0) < 0 ||
	    syscall(SYS_fsconfig, fs, K_FSCONFIG_CMD_CREATE, NULL, NULL, 0) < 0)
		return err_sys(e, -errno, "making a root in memory");
	fd = (int)syscall(SYS_fsmount, fs, K_FSMOUNT_CLOEXEC,
			  K_MOUNT_ATTR_NODEV | K_MOUNT_ATTR_NOSUID | K_MOUNT_ATTR_NOEXEC);
	if (fd < 0 || mkdirat(fd, "etc", 0755) < 0)
		return err_sys(e, -errno, "making a root in memory");
	copy(fd, "/etc/resolv.conf");
	copy(fd, "/etc/hosts");
	copy(fd, "/etc/nsswitch.conf");
	copy(fd, "/etc/gai.conf");
	read_system_ca(&r->system_ca);
	r->fd = TAKE_FD(fd);
	return 0;
}

static struct root_host *host_of(struct root *r, const char *name)
{
	struct root_host *h;

	for (size_t i = 0; i < r->hosts.n; i++)
		if (streq(r->hosts.v[i].name, name))
			return &r->hosts.v[i];
	h = VEC_ADD(&r->hosts);
	h->name = xstrdup(name);
	return h;
}

static char *pem_path(size_t i, const char *kind)
{
	return xasprintf("/%s-%zu.pem", kind, i);
}

void root_pem(struct root *r, const char *host, const char *kind, const void *p, size_t n)
{
	struct root_host *h = host_of(r, host);
	AUTO_FREE char *path = pem_path((size_t)(h - r->hosts.v), kind);
	bool *there = streq(kind, "cert") ? &h->cert : &h->key;

	if (streq(kind, "ca")) {
		strb_add(&h->ca, p, n);
		strb_addc(&h->ca, '\n');
	} else if (!*there) {
		*there = file_write(r->fd, path + 1, p, n, 0400) == 0;
	}
}

int root_finish(struct root *r, struct err *e)
{
	int k = file_write(r->fd, "ca.pem", strb_str(&r->system_ca), r->system_ca.len, 0444);

	for (size_t i = 0; k == 0 && i < r->hosts.n; i++) {
		struct root_host *h = &r->hosts.v[i];
		AUTO_FREE char *path = pem_path(i, "ca");

		if (h->ca.len == 0)
			continue;
		strb_add(&h->ca, strb_str(&r->system_ca), r->system_ca.len);
		k = file_write(r->fd, path + 1, strb_str(&h->ca), h->ca.len, 0444);
		strb_done(&h->ca);
		h->ca.len = 1; /* that there is one */
	}
	if (k == 0 && r->system_ca.len == 0)
		k = unlinkat(r->fd, "ca.pem", 0) < 0 ? -errno : 0; /* nobody is trusted */
	strb_done(&r->system_ca);
	return k < 0 ? err_sys(e, k, "filling the root in memory") : 0;
}

void root_tls(const struct root *r, const char *host, struct tls_files *ret)
{
	*ret = (struct tls_files){ 0 };
	for (size_t i = 0; i < r->hosts.n; i++) {
		const struct root_host *h = &r->hosts.v[i];

		if (strcasecmp(h->name, host) != 0)
			continue;
		if (h->ca.len)
			ret->ca = pem_path(i, "ca");
		if (h->cert && h->key) {
			ret->cert = pem_path(i, "cert");
			ret->key = pem_path(i, "key");
		}
	}
}
