/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "s3_rig.h"

#define WHOLE                                                             \
    "HTTP/1.1 200 OK\r\nETag: \"e1\"\r\nLast-Modified: Fri, 20 Nov 2026 " \
    "08:15:30 GMT\r\n"
#define PART(range) \
    "HTTP/1.1 206 X\r\nETag: \"e1\"\r\nContent-Range: bytes " range "\r\n"

static void open_rig(struct s3_rig *r, const struct s3_rig_answer *answers,
                     unsigned count)
{
    struct s3_client_opts o = s3_rig_opts();

    s3_rig_open(r, &o, answers, count);
}

static void a_get_goes_on_where_the_connection_broke(void **state)
{
    /* 26 letters; 10 of them arrive, then 6, then the rest */
    static const struct s3_rig_answer answers[4] = {
        {.text = WHOLE "Content-Length: 26\r\n\r\nabcdefghijklmnopqrstuvwxyz",
         .cut = sizeof(WHOLE "Content-Length: 26\r\n\r\n") - 1 + 10},
        {.text = NULL},
        {.text = PART("10-25/26") "Content-Length: 16\r\n\r\n"
                                  "klmnopqrstuvwxyz",
         .cut = sizeof(PART("10-25/26") "Content-Length: 16\r\n\r\n") - 1 + 6},
        {.text = PART("16-25/26"), .body = "qrstuvwxyz"}};
    struct s3_rig r;

    open_rig(&r, answers, 4);
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 0), ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "abcdefghijklmnopqrstuvwxyz");
    assert_null(s3_rig_header(&r, 0, "range"));
    assert_null(s3_rig_header(&r, 0, "if-match"));
    assert_string_equal(s3_rig_header(&r, 1, "range"), "bytes=10-25");
    assert_string_equal(s3_rig_header(&r, 3, "range"), "bytes=16-25");
    assert_string_equal(s3_rig_header(&r, 3, "if-match"), "\"e1\"");
    assert_int_equal(r.info.bytes, 26);
    assert_int_equal(r.info.modified_ms, UINT64_C(1795162530000));
    s3_rig_close(&r);
}

static void an_object_that_was_replaced_is_not_mixed(void **state)
{
    static const struct s3_rig_answer answers[2] = {
        {.text = WHOLE "Content-Length: 26\r\n\r\nabcdefghij",
         .cut = sizeof(WHOLE "Content-Length: 26\r\n\r\n") - 1 + 10},
        {.text = "HTTP/1.1 412 X\r\n",
         .body = "<Error><Code>PreconditionFailed</Code></Error>"}};
    struct s3_rig r;

    open_rig(&r, answers, 2);
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 0), ERR_CONFLICT);
    assert_non_null(strstr(r.err.text, "replaced while it was read"));
    assert_string_equal(s3_rig_header(&r, 1, "if-match"), "\"e1\"");
    s3_rig_close(&r);
}

static void a_range_that_was_not_asked_for_is_refused(void **state)
{
    static const struct {
        const char *why, *head;
        uint64_t offset, length, from_end;
    } rows[] = {
        {"ignored", WHOLE, 2, 3, 0},
        {"from elsewhere", PART("3-5/26"), 2, 3, 0},
        {"shorter", PART("2-3/26"), 2, 3, 0},
        {"not a range", PART("x"), 2, 3, 0},
        {"of unknown size", PART("2-4/*"), 2, 3, 0},
        {"behind its own end", PART("2-4/3"), 2, 3, 0},
        {"backwards", PART("4-2/26"), 2, 3, 0},
        {"not the last ones", PART("0-2/26"), 0, 0, 3},
        {"ignored, from the end", WHOLE, 0, 0, 2},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answer = {.text = rows[i].head, .body = "cde"};
        struct s3_rig r;

        open_rig(&r, &answer, 1);
        if (s3_rig_get(&r, "k", rows[i].offset, rows[i].length,
                       rows[i].from_end) != ERR_PROTOCOL ||
            r.bytes.len)
            fail_msg("%s: %s", rows[i].why, r.err.text);
        s3_rig_close(&r);
    }
}

static void a_range_that_was_asked_for_is_taken(void **state)
{
    static const struct {
        const char *why, *head, *asked;
        uint64_t offset, length, from_end;
    } rows[] = {
        {"a piece", PART("2-4/26"), "bytes=2-4", 2, 3, 0},
        {"to the end", PART("23-25/26"), "bytes=23-", 23, 0, 0},
        {"past the end", PART("23-25/26"), "bytes=23-122", 23, 100, 0},
        {"the last ones", PART("23-25/26"), "bytes=-3", 0, 0, 3},
        {"more than there is", PART("0-2/3"), "bytes=-64", 0, 0, 64},
        {"more than there is, as a whole", WHOLE, "bytes=-64", 0, 0, 64},
        {"all of it, by range", PART("0-2/3"), "bytes=0-2", 0, 3, 0},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        struct s3_rig_answer answer = {.text = rows[i].head, .body = "xyz"};
        struct s3_rig r;

        open_rig(&r, &answer, 1);
        if (s3_rig_get(&r, "k", rows[i].offset, rows[i].length,
                       rows[i].from_end) != ERR_OK)
            fail_msg("%s: %s", rows[i].why, r.err.text);
        assert_string_equal(buf_text(&r.bytes), "xyz");
        assert_string_equal(s3_rig_header(&r, 0, "range"), rows[i].asked);
        s3_rig_close(&r);
    }
}

static void the_last_bytes_of_nothing_are_nothing(void **state)
{
    static const struct s3_rig_answer empty = {
        .text = "HTTP/1.1 416 X\r\nContent-Range: bytes */0\r\n",
        .body = "<Error><Code>InvalidRange</Code></Error>"};
    static const struct s3_rig_answer behind = {
        .text = "HTTP/1.1 416 X\r\nContent-Range: bytes */9\r\n",
        .body = "<Error><Code>InvalidRange</Code></Error>"};
    struct s3_rig r;

    open_rig(&r, &empty, 1);
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 64), ERR_OK);
    assert_int_equal(r.bytes.len, 0);
    assert_int_equal(r.info.bytes, 0);
    s3_rig_close(&r);
    open_rig(&r, &behind, 1);
    assert_int_equal(s3_rig_get(&r, "k", 9, 1, 0), ERR_PROTOCOL);
    s3_rig_close(&r);
}

static void progress_renews_the_budget(void **state)
{
    struct s3_rig_answer answers[9];
    struct s3_client_opts o = s3_rig_opts();
    static char heads[9][400];
    struct s3_rig r;

    /* 9 letters, one with each connection: two tries would not do */
    for (size_t i = 0; i < 9; i++) {
        int n = i ? snprintf(heads[i], sizeof(heads[i]),
                             "HTTP/1.1 206 X\r\nETag: \"e1\"\r\n"
                             "Content-Range: bytes %zu-8/9\r\n"
                             "Content-Length: %zu\r\n\r\n",
                             i, 9 - i)
                  : snprintf(heads[i], sizeof(heads[i]),
                             WHOLE "Content-Length: 9\r\n\r\n");

        snprintf(heads[i] + n, sizeof(heads[i]) - (size_t)n, "%s",
                 &"abcdefghi"[i]);
        answers[i] = (struct s3_rig_answer){.text = heads[i],
                                            .cut = i < 8 ? (size_t)n + 1 : 0};
    }
    o.tries_max = 2;
    s3_rig_open(&r, &o, answers, 9);
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 0), ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "abcdefghi");
    s3_rig_close(&r);
}

static void a_refused_piece_comes_again_and_no_byte_twice(void **state)
{
    static char body[300001];
    static const struct s3_rig_answer answer = {.text = WHOLE, .body = body};
    struct s3_rig r;

    for (size_t i = 0; i < sizeof(body) - 1; i++)
        body[i] = (char)('a' + i * 2654435761u % 26);
    open_rig(&r, &answer, 1);
    r.refuse_each = 3;
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 0), ERR_OK);
    assert_int_equal(r.bytes.len, sizeof(body) - 1);
    assert_memory_equal(r.bytes.data, body, sizeof(body) - 1);
    s3_rig_close(&r);
}

static bool cancel_on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct s3_rig *r = ctx;

    s3_get_cancel(r->get);
    return true;
}

static void a_get_can_be_cancelled_from_inside(void **state)
{
    static char body[300001];
    static const struct s3_rig_answer answer = {.text = WHOLE, .body = body};
    struct s3_get_opts o = {
        .key = "k", .on_data = cancel_on_data, .done = s3_rig_on_done};
    struct s3_rig r;

    memset(body, 'x', sizeof(body) - 1);
    open_rig(&r, &answer, 1);
    o.ctx = &r;
    assert_int_equal(s3_get_start(r.client, &o, &r.get, &r.err), ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_CANCELLED);
    s3_rig_run_ms(&r, 5);
    assert_int_equal(r.done, 1);
    s3_rig_close(&r);
}

static void an_error_is_not_taken_for_data(void **state)
{
    static const struct s3_rig_answer answer = {
        .text = "HTTP/1.1 404 X\r\n",
        .body = "<Error><Code>NoSuchKey</Code></Error>"};
    struct s3_rig r;

    open_rig(&r, &answer, 1);
    assert_int_equal(s3_rig_get(&r, "k", 0, 0, 0), ERR_NOT_FOUND);
    assert_int_equal(r.bytes.len, 0);
    s3_rig_close(&r);
}

/* ---- listings ---- */

#define LIST "HTTP/1.1 200 OK\r\n"
#define ENTRY(key)                                             \
    "<Contents><Key>" key "</Key><LastModified>2026-11-20T08:" \
    "15:30.000Z</LastModified><Size>1</Size></Contents>"
#define PAGE(more, entries)                                         \
    "<ListBucketResult><IsTruncated>" more "</IsTruncated>" entries \
    "</ListBucketResult>"
#define NEXT(token) "<NextContinuationToken>" token "</NextContinuationToken>"

static void a_listing_is_followed_to_its_last_page(void **state)
{
    static const struct s3_rig_answer answers[3] = {
        {.text = LIST,
         .body = PAGE("true", NEXT("t/1=") ENTRY("p/a") ENTRY("p/b"))},
        {.text = LIST, .body = PAGE("true", NEXT("t2"))},
        {.text = LIST, .body = PAGE("false", ENTRY("p/c"))}};
    struct s3_rig r;

    open_rig(&r, answers, 3);
    assert_int_equal(s3_rig_list(&r, "p/"), ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "p/a\np/b\np/c\n");
    assert_true(s3_rig_asked(&r, 0,
                             "GET /bucket/?encoding-type=url&list-type=2"
                             "&max-keys=1000&prefix=p%2F HTTP/1.1"));
    assert_true(s3_rig_asked(
        &r, 1,
        "GET /bucket/?continuation-token=t%2F1%3D&encoding-type=url&"
        "list-type=2&max-keys=1000&prefix=p%2F HTTP/1.1"));
    s3_rig_close(&r);
}

static void a_page_that_is_none_is_asked_for_again(void **state)
{
    static const char *const pages[] = {
        PAGE("false", ENTRY("p/b") ENTRY("p/a")), "", "<html/>",
        "<ListBucketResult><Contents><Key>p/a",
        "<Error><Code>InternalError</Code></Error>"};

    for (size_t i = 0; i < BYTES_COUNT(pages); i++) {
        struct s3_rig_answer answers[2] = {
            {.text = LIST, .body = pages[i]},
            {.text = LIST, .body = PAGE("false", ENTRY("p/a") ENTRY("p/b"))}};
        struct s3_rig r;

        open_rig(&r, answers, 2);
        if (s3_rig_list(&r, "p/") != ERR_OK)
            fail_msg("%s: %s", pages[i], r.err.text);
        assert_string_equal(buf_text(&r.bytes), "p/a\np/b\n");
        s3_rig_close(&r);
    }
}

static void a_listing_that_does_not_lead_on_is_refused(void **state)
{
    static const struct {
        const char *why, *first, *second;
    } rows[] = {
        {"backwards", PAGE("false", ENTRY("p/b") ENTRY("p/a")), NULL},
        {"twice the same", PAGE("false", ENTRY("p/a") ENTRY("p/a")), NULL},
        {"another prefix", PAGE("false", ENTRY("q/a")), NULL},
        {"the first page again", PAGE("true", NEXT("t") ENTRY("p/a")),
         PAGE("true", NEXT("t") ENTRY("p/a"))},
        {"the same token", PAGE("true", NEXT("t") ENTRY("p/a")),
         PAGE("true", NEXT("t") ENTRY("p/b"))},
        {"an error in a 200", "<Error><Code>AccessDenied</Code></Error>", NULL},
    };

    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        const char *bad = rows[i].second ? rows[i].second : rows[i].first;
        bool denied = strstr(bad, "Denied") != NULL;
        struct s3_rig_answer answers[4];
        unsigned n = 0;
        struct s3_rig r;

        if (rows[i].second)
            answers[n++] =
                (struct s3_rig_answer){.text = LIST, .body = rows[i].first};
        for (int j = 0; j < (denied ? 1 : 3); j++) /* asked for again */
            answers[n++] = (struct s3_rig_answer){.text = LIST, .body = bad};
        open_rig(&r, answers, n);
        if (s3_rig_list(&r, "p/") == ERR_OK)
            fail_msg("%s: was taken", rows[i].why);
        /* nothing of the page was given out */
        assert_string_equal(buf_text(&r.bytes), rows[i].second ? "p/a\n" : "");
        s3_rig_close(&r);
    }
}

/* What a server without end says, with a new token each time. */
#define BARREN 1000 /* as s3_list.h has it */
#define EMPTY_BEFORE \
    "<ListBucketResult><IsTruncated>true</IsTruncated><NextContinuationToken>"
#define EMPTY_AFTER "</NextContinuationToken></ListBucketResult>"

struct endless {
    char pages[BARREN + 2][512];
    struct s3_rig_answer answers[BARREN + 2];
};

static struct endless *endless_new(const char *before, const char *after)
{
    struct endless *e = calloc(1, sizeof(*e));

    assert_non_null(e);
    for (unsigned i = 0; i < BARREN + 2; i++) { /* each in one write: quick */
        snprintf(e->pages[i], sizeof(e->pages[i]),
                 LIST "Content-Length: %zu\r\n\r\n%s%04u%s",
                 strlen(before) + 4 + strlen(after), before, i, after);
        e->answers[i].text = e->pages[i];
    }
    return e;
}

static void a_listing_may_have_many_empty_pages(void **state)
{
    struct endless *e = endless_new(EMPTY_BEFORE, EMPTY_AFTER);
    struct s3_rig r;

    e->answers[BARREN] = (struct s3_rig_answer){
        .text = LIST,
        .body = PAGE("true", NEXT("one more") ENTRY("p/a") ENTRY("p/b"))};
    e->answers[BARREN + 1] = (struct s3_rig_answer){
        .text = LIST, .body = PAGE("false", ENTRY("p/c"))};
    open_rig(&r, e->answers, BARREN + 2);
    assert_int_equal(s3_rig_list(&r, "p/"), ERR_OK);
    assert_string_equal(buf_text(&r.bytes), "p/a\np/b\np/c\n");
    s3_rig_close(&r);
    free(e);
}

static void a_listing_without_end_is_given_up(void **state)
{
    struct endless *e = endless_new(EMPTY_BEFORE, EMPTY_AFTER);
    struct s3_rig r;

    e->answers[0] = (struct s3_rig_answer){
        .text = LIST, .body = PAGE("true", NEXT("first") ENTRY("p/a"))};
    open_rig(&r, e->answers, BARREN + 2);
    assert_int_equal(s3_rig_list(&r, "p/"), ERR_PROTOCOL);
    assert_string_equal(buf_text(&r.bytes), "p/a\n");
    assert_non_null(strstr(r.err.text, s3_client_name(r.client)));
    assert_non_null(strstr(r.err.text, "list \"p/\": 1001 pages in a row"));
    s3_rig_close(&r);
    free(e);
}

static bool on_upload_seen(void *ctx, const struct s3_xml_upload *u)
{
    struct s3_rig *r = ctx;

    r->calls++;
    return strcmp(u->key, "p/a") == 0;
}

/* Uploads of one key may be many, but not without end either. */
static void uploads_of_one_key_without_end_are_given_up(void **state)
{
    struct endless *e = endless_new(
        "<ListMultipartUploadsResult><IsTruncated>true</IsTruncated>"
        "<NextKeyMarker>p/a</NextKeyMarker><NextUploadIdMarker>u",
        "</NextUploadIdMarker><Upload><Key>p/a</Key><UploadId>u</UploadId>"
        "<Initiated>2026-11-20T08:15:30.000Z</Initiated></Upload>"
        "</ListMultipartUploadsResult>");
    struct s3_rig r;
    struct s3_list_opts o = {.prefix = "p/",
                             .on_upload = on_upload_seen,
                             .done = s3_rig_on_done,
                             .ctx = &r};
    struct s3_list *l;

    open_rig(&r, e->answers, BARREN + 2);
    assert_int_equal(s3_list_start(r.client, &o, &l, &r.err), ERR_OK);
    s3_rig_wait(&r, 1);
    assert_int_equal(r.err.code, ERR_PROTOCOL);
    assert_non_null(strstr(r.err.text, "1001 pages in a row"));
    assert_int_equal(r.calls, BARREN + 2);
    s3_rig_close(&r);
    free(e);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_get_goes_on_where_the_connection_broke),
        cmocka_unit_test(an_object_that_was_replaced_is_not_mixed),
        cmocka_unit_test(a_range_that_was_not_asked_for_is_refused),
        cmocka_unit_test(a_range_that_was_asked_for_is_taken),
        cmocka_unit_test(the_last_bytes_of_nothing_are_nothing),
        cmocka_unit_test(progress_renews_the_budget),
        cmocka_unit_test(a_refused_piece_comes_again_and_no_byte_twice),
        cmocka_unit_test(a_get_can_be_cancelled_from_inside),
        cmocka_unit_test(an_error_is_not_taken_for_data),
        cmocka_unit_test(a_listing_is_followed_to_its_last_page),
        cmocka_unit_test(a_page_that_is_none_is_asked_for_again),
        cmocka_unit_test(a_listing_that_does_not_lead_on_is_refused),
        cmocka_unit_test(a_listing_may_have_many_empty_pages),
        cmocka_unit_test(a_listing_without_end_is_given_up),
        cmocka_unit_test(uploads_of_one_key_without_end_are_given_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
