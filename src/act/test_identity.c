/* identity: Docker's meaning of USER, from the container's own files. Pure, and with files of a hostile image. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "act/act_int.h"

static const char passwd[] =
	"root:x:0:0:root:/root:/bin/sh\n# a remark\nbad\nbob:x:1000:1001:Bob,,,:/home/bob:/bin/sh\n"
	"77:x:1077:1077::/home/n:/bin/sh\nnohome:x:5:5::";
static const char group[] = "root:x:0:\nusers:x:1001:\naudio:x:29:al,bob,ce\nbobby:x:30:bobby\nwheel:x:10:bob";

static int parse(const char *user, struct act_identity *i, struct err *e)
{
	struct plan_process p = { .user = user, .late = PLAN_LATE_HOME };

	return act_identity_parse(passwd, sizeof passwd - 1, group, sizeof group - 1, &p, i, e);
}

static void expect(const char *user, uint32_t uid, uint32_t gid, const char *home, const char *groups)
{
	AUTO_STRB struct strb text = STRB_INIT;
	struct act_identity i = { 0 };
	struct err e = ERR_INIT;

	if (parse(user, &i, &e) < 0)
		fail_msg("%s: %s", user, e.msg);
	for (size_t k = 0; k < i.n_groups; k++)
		strb_addf(&text, "%s%u", k ? " " : "", i.groups[k]);
	assert_int_equal(i.uid, uid);
	assert_int_equal(i.gid, gid);
	assert_string_equal(i.home, home);
	assert_string_equal(strb_str(&text), groups);
	act_identity_done(&i);
}

static void refuse(const char *user, const char *sentence)
{
	struct act_identity i = { 0 };
	struct err e = ERR_INIT;

	assert_true(parse(user, &i, &e) < 0);
	assert_string_equal(e.msg, sentence);
	assert_null(i.home);
}

static void test_names_and_numbers(void **state)
{
	expect("bob", 1000, 1001, "/home/bob", "1001 29 10");
	expect("1000", 1000, 1001, "/home/bob", "1001 29 10");
	expect("bob:users", 1000, 1001, "/home/bob", "1001");
	expect("bob:audio", 1000, 29, "/home/bob", "29");
	expect("bob:4242", 1000, 4242, "/home/bob", "4242");
	expect("4242", 4242, 0, "/", "0");
	expect("4242:29", 4242, 29, "/", "29");
	expect("77", 1077, 1077, "/home/n", "1077"); /* a name that looks like a number is a name */
	expect("nohome", 5, 5, "/", "5");
	expect(":audio", 0, 29, "/root", "29");
}

static void test_dockers_sentences(void **state)
{
	refuse("alice", "unable to find user alice: no matching entries in passwd file");
	refuse("bob:nobody", "unable to find group nobody: no matching entries in group file");
	refuse("2147483648", "uids and gids must be in range 0-2147483647");
	refuse("bad", "unable to find user bad: no matching entries in passwd file");
	refuse("99999999999999999999", "unable to find user 99999999999999999999: no matching entries in passwd file");
	refuse("-1", "unable to find user -1: no matching entries in passwd file");
}

static void test_additional_groups_by_name(void **state)
{
	static const char *const names[] = { "audio", "55", NULL }, *const missing[] = { "gone", NULL };
	struct plan_process p = { .uid = 1000, .gid = 7, .group_names = names };
	struct act_identity i = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(act_identity_parse(passwd, sizeof passwd - 1, group, sizeof group - 1, &p, &i, &e), 0);
	assert_int_equal(i.n_groups, 2);
	assert_int_equal(i.groups[0], 29);
	assert_int_equal(i.groups[1], 55);
	act_identity_done(&i);
	p.group_names = missing;
	assert_true(act_identity_parse(passwd, sizeof passwd - 1, group, sizeof group - 1, &p, &i, &e) < 0);
	assert_string_equal(e.msg, "unable to find group gone: no matching entries in group file");
}

static void test_files_of_a_hostile_image(void **state)
{
	struct plan_process p = { .user = "root" };
	char dir[] = "/tmp/act-id-XXXXXX";
	AUTO_FD int root = -1;
	struct act_identity i = { 0 };
	struct err e = ERR_INIT;

	assert_non_null(mkdtemp(dir));
	root = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(mkdirat(root, "etc", 0755), 0);
	assert_int_equal(symlinkat("../../../../../../etc/passwd", root, "etc/passwd"),
			 0); /* to itself, seen from inside */
	assert_int_equal(identity_resolve(root, &p, &i, &e), -ELOOP);
	assert_int_equal(unlinkat(root, "etc/passwd", 0), 0);
	assert_int_equal(mkfifoat(root, "etc/passwd", 0644), 0); /* must not hang */
	assert_true(identity_resolve(root, &p, &i, &e) < 0);
	assert_int_equal(unlinkat(root, "etc/passwd", 0), 0);
	assert_int_equal(identity_resolve(root, &p, &i, &e), -EINVAL); /* no file: no user named root */
	assert_string_equal(e.msg, "unable to find user root: no matching entries in passwd file");
	assert_int_equal(dir_remove(AT_FDCWD, dir), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names_and_numbers),
		cmocka_unit_test(test_dockers_sentences),
		cmocka_unit_test(test_additional_groups_by_name),
		cmocka_unit_test(test_files_of_a_hostile_image),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
