/* caps.c - the five capability sets. The order is the kernel's: bounding while CAP_SETPCAP is still there, the rest after setuid,
 * ambient last, since it needs permitted and inheritable. */
#include "act/act_int.h"
#include "base/kernel.h"

#include <sys/prctl.h>

#ifndef PR_CAP_AMBIENT
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_RAISE 2
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#endif
enum { BOUNDING, EFFECTIVE, PERMITTED, INHERITABLE, AMBIENT };
#define CAP_VERSION_3 0x20080522

int caps_bound(const uint64_t caps[5], struct err *e)
{
	for (int cap = 0; cap < 64; cap++) {
		if (caps[BOUNDING] >> cap & 1)
			continue;
		if (prctl(PR_CAPBSET_DROP, cap, 0, 0, 0) < 0) {
			if (errno == EINVAL)
				break; /* above the kernel's last one */
			if (errno == EPERM && prctl(PR_CAPBSET_READ, cap, 0, 0, 0) == 0)
				continue; /* gone already */
			return err_sys(e, -errno, "dropping capability %d from the bounding set", cap);
		}
	}
	/* Permitted ones stay over setuid; caps_set says which. */
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) < 0 ? err_sys(e, -errno, "keeping capabilities") : 0;
}

int caps_set(const uint64_t caps[5], struct err *e)
{
	struct {
		uint32_t version;
		int pid;
	} h = { CAP_VERSION_3, 0 };
	struct {
		uint32_t effective, permitted, inheritable;
	} d[2], now[2] = { { 0 } };

	/* Asking for more than we have is refused by the kernel as a whole: what is missing here (CAP_SYS_RESOURCE on some hosts) is
	 * left out, as runc does. */
	if (syscall(SYS_capget, &h, now) < 0)
		return err_sys(e, -errno, "reading capabilities");
	h.version = CAP_VERSION_3;
	for (int i = 0; i < 2; i++) {
		uint32_t permitted = (uint32_t)(caps[PERMITTED] >> (32 * i)) & now[i].permitted;

		d[i].permitted = permitted;
		d[i].effective = (uint32_t)(caps[EFFECTIVE] >> (32 * i)) & permitted;
		d[i].inheritable = (uint32_t)(caps[INHERITABLE] >> (32 * i)) & (permitted | now[i].inheritable);
	}
	if (syscall(SYS_capset, &h, d) < 0)
		return err_sys(e, -errno, "setting capabilities");
	(void)prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0);
	(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	for (int cap = 0; cap < 64 && caps[AMBIENT]; cap++)
		if (caps[AMBIENT] >> cap & 1)
			(void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
	return 0;
}
