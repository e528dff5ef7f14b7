/* test_http.h - the tests of test_http_parse.c, run by test_http.c. */
#pragma once
void test_request_head_is_understood(void **state);
void test_dangerous_heads_are_refused(void **state);
void test_heads_have_a_budget(void **state);
void test_chunks_decode_and_leave_the_rest(void **state);
void test_bad_chunks_are_refused(void **state);
void test_response_head_is_understood(void **state);
void test_a_wrong_query_is_kept_for_the_handler_to_answer(void **state);
void test_urls_encode_and_decode(void **state);
