/* Answers recorded from dockerd 28.5, read into our structs and written again: not a byte may differ. */
#include "schema/docker.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static int fixtures = -1;

/* Lists are read through a wrapper type: one LIST row named "". */
#define DT_LIST(tag) \
	static const struct json_field tag##_list_rows[] = { { .name = "", .kind = JSON_LIST, .sub = &tag##_type } }; \
	static const struct json_type tag##_list = { \
		.name = #tag, .size = 2 * sizeof(void *), .align = sizeof(void *), .fields = tag##_list_rows, .n = 1 \
	};
DT_LIST(docker_container_summary)
DT_LIST(docker_image_summary)
DT_LIST(docker_image_history_item)
DT_LIST(docker_image_delete_item)
DT_LIST(docker_network_inspect)

static const struct {
	const char *file;
	const struct json_type *type;
	unsigned api_minor;
} rows[] = {
	{ "container_inspect_running.json", &docker_container_inspect_type, 51 },
	{ "container_inspect_created.json", &docker_container_inspect_type, 51 },
	{ "containers.json", &docker_container_summary_list, 51 },
	{ "containers_1_40.json", &docker_container_summary_list, 40 },
	{ "create.json", &docker_container_create_response_type, 51 },
	{ "exec_create.json", &docker_id_type, 51 },
	{ "exec_inspect_created.json", &docker_exec_inspect_type, 51 },
	{ "exec_inspect_done.json", &docker_exec_inspect_type, 51 },
	{ "history.json", &docker_image_history_item_list, 51 },
	{ "image_delete.json", &docker_image_delete_item_list, 51 },
	{ "image_inspect.json", &docker_image_inspect_type, 51 },
	{ "image_inspect_1_40.json", &docker_image_inspect_type, 40 },
	{ "images.json", &docker_image_summary_list, 51 },
	{ "info.json", &docker_info_type, 51 },
	{ "network_bridge.json", &docker_network_inspect_type, 51 },
	{ "networks.json", &docker_network_inspect_list, 51 },
	{ "prune.json", &docker_containers_pruned_type, 51 },
	{ "top.json", &docker_top_type, 51 },
	{ "version.json", &docker_version_type, 51 },
	{ "volume.json", &docker_volume_type, 51 },
	{ "volumes.json", &docker_volume_list_type, 51 },
	{ "vprune.json", &docker_volumes_pruned_type, 51 },
	{ "wait.json", &docker_wait_response_type, 51 },
};

static void show_difference(const char *file, const char *got, const char *want)
{
	size_t i = 0;

	while (got[i] && got[i] == want[i])
		i++;
	i = i > 60 ? i - 60 : 0;
	fail_msg("%s:\n got ...%.160s\nwant ...%.160s", file, got + i, want + i);
}

static void assert_same(const char *file, const struct json_type *t, const char *text, size_t n, unsigned api_minor)
{
	AUTO_FREE void *obj = xcalloc(1, t->size), *copy = xcalloc(1, t->size);
	AUTO_STRB struct strb out = STRB_INIT;
	struct err e = ERR_INIT;

	if (json_read(t, text, n, NULL, obj, &e) < 0)
		fail_msg("%s: %s", file, e.msg);
	json_copy(t, copy, obj);
	json_done(t, obj);
	json_write(t, copy, api_minor, &out);
	json_done(t, copy);
	if (strlen(text) != out.len || memcmp(text, out.s, n) != 0)
		show_difference(file, out.s, text);
}

static void test_recorded_answers_are_rewritten_byte_by_byte(void **state)
{
	for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
		AUTO_FREE char *text = NULL;
		size_t n = 0;

		assert_int_equal(file_read(fixtures, rows[i].file, 1 << 20, &text, &n), 0);
		assert_same(rows[i].file, rows[i].type, text, n, rows[i].api_minor);
	}
}

static void test_recorded_events_are_rewritten_line_by_line(void **state)
{
	AUTO_FREE char *text = NULL;
	AUTO_STRV struct strv lines = { 0 };

	assert_int_equal(file_read(fixtures, "events.json", 1 << 20, &text, NULL), 0);
	strv_split(&lines, text, "\n");
	assert_true(lines.n > 10);
	for (size_t i = 0; i < lines.n; i++)
		assert_same("events.json", &docker_event_type, lines.v[i], strlen(lines.v[i]), 51);
}

static void test_a_create_request_holds_its_config(void **state)
{
	static const char text[] =
		"{\"Image\":\"i\",\"Cmd\":\"ls\",\"StopTimeout\":0,\"HostConfig\":{\"Memory\":5,\"PortBindings\":{\"80/"
		"tcp\":[{\"HostPort\":\"1\"}]}},"
		"\"NetworkingConfig\":{\"EndpointsConfig\":{\"n\":{\"Aliases\":[\"a\"]},\"m\":null}}}";
	struct docker_container_create_request rq = { 0 };
	struct err e = ERR_INIT;

	assert_int_equal(json_read(&docker_container_create_request_type, text, strlen(text), NULL, &rq, &e), 0);
	assert_string_equal(docker_request_config(&rq)->image, "i");
	assert_string_equal(docker_request_config(&rq)->cmd.v[0], "ls");
	assert_true(docker_request_config(&rq)->stop_timeout.set);
	assert_int_equal(rq.host_config.memory, 5);
	assert_string_equal(rq.host_config.port_bindings.v[0].val.list.v[0].host_port, "1");
	assert_int_equal(rq.networking_config.endpoints_config.n, 2);
	json_done(&docker_container_create_request_type, &rq);
}

static void test_a_thousand_containers_are_listed_quickly(void **state)
{
	AUTO_FREE char *text = NULL;
	AUTO_STRB struct strb out = STRB_INIT;
	struct {
		struct docker_container_summary *v;
		size_t n;
	} list = { 0 };
	int64_t start, best = INT64_MAX;

	assert_int_equal(file_read(fixtures, "containers.json", 1 << 20, &text, NULL), 0);
	assert_int_equal(json_read(&docker_container_summary_list, text, strlen(text), NULL, &list, NULL), 0);
	for (int round = 0; round < 5; round++) {
		strb_clear(&out);
		start = time_mono_ns();
		for (int i = 0; i < 500; i++)
			json_write_list(&docker_container_summary_type, list.v, list.n, 51, &out);
		best = MIN(best, time_mono_ns() - start);
	}
	print_message("1000 containers: %.1f ms, %zu bytes\n", (double)best / 1e6, out.len);
	assert_true(best < 100 * 1000000LL); /* 10 ms is the goal; a loaded machine must not fail the test */
	json_done(&docker_container_summary_list, &list);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_recorded_answers_are_rewritten_byte_by_byte),
		cmocka_unit_test(test_recorded_events_are_rewritten_line_by_line),
		cmocka_unit_test(test_a_create_request_holds_its_config),
		cmocka_unit_test(test_a_thousand_containers_are_listed_quickly),
	};

	fixtures = dir_open(AT_FDCWD, argc > 1 ? argv[1] : "fixtures");
	return fixtures < 0 ? 1 : cmocka_run_group_tests(tests, NULL, NULL);
}
