/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "s3/s3_probe.h"
#include "s3_rig.h"

#define OK "HTTP/1.1 200 OK\r\nETag: \"e\"\r\n"
#define DONE                   \
    {                          \
        .text = OK, .body = "" \
    }
#define GONE                             \
    {                                    \
        .text = "HTTP/1.1 204 X\r\n\r\n" \
    }
#define NOTHING_LISTED                                             \
    {                                                              \
        .text = OK, .body = "<ListBucketResult><IsTruncated>false" \
                            "</IsTruncated></ListBucketResult>"    \
    }
#define FAILED(status, code)                           \
    {                                                  \
        .text = "HTTP/1.1 " status " X\r\n",           \
        .body = "<Error><Code>" code "</Code></Error>" \
    }
#define BYTES(text_)              \
    {                             \
        .text = OK, .body = text_ \
    }
#define CREATED                                                           \
    {                                                                     \
        .text = OK, .body = "<InitiateMultipartUploadResult><UploadId>u"  \
                            "</UploadId></InitiateMultipartUploadResult>" \
    }
#define COMPLETED                                              \
    {                                                          \
        .text = OK, .body = "<CompleteMultipartUploadResult/>" \
    }
#define FIVE_LONG                              \
    {                                          \
        .text = OK "Content-Length: 5\r\n\r\n" \
    }
#define NO_VERSIONS                                      \
    {                                                    \
        .text = OK, .body = "<VersioningConfiguration/>" \
    }

struct probe {
    struct s3_rig r;
    struct s3_probe *probe;
    struct s3_probe_found found;
};

static void on_probed(void *ctx, const struct err *err,
                      const struct s3_probe_found *found)
{
    struct probe *p = ctx;

    p->r.err = *err;
    p->found = *found;
    p->r.done++;
    loop_stop(p->r.loop);
}

static void begin(struct probe *p, const struct s3_rig_answer *answers,
                  unsigned count)
{
    struct s3_client_opts o = s3_rig_opts();
    struct s3_probe_opts po = {.prefix = "v/probe/", .done = on_probed};

    s3_rig_open(&p->r, &o, answers, count);
    po.ctx = p;
    assert_int_equal(s3_probe_start(p->r.client, &po, &p->probe, &p->r.err),
                     ERR_OK);
    assert_int_equal(p->r.done, 0);
}

static void run(struct probe *p, const struct s3_rig_answer *answers,
                unsigned count)
{
    begin(p, answers, count);
    s3_rig_wait(&p->r, 1);
}

static void a_server_that_ignores_the_condition_is_found_out(void **state)
{
    static const struct s3_rig_answer answers[] = {
        DONE,        NOTHING_LISTED, DONE,      BYTES("second"),
        CREATED,     DONE,           COMPLETED, FIVE_LONG,
        NO_VERSIONS, GONE,           GONE};
    struct probe p;

    run(&p, answers, 11);
    assert_int_equal(p.r.err.code, ERR_OK);
    assert_false(p.found.if_absent);
    assert_false(p.found.lists_at_once);
    assert_string_equal(s3_rig_header(&p.r, 2, "if-none-match"), "*");
    assert_true(s3_rig_asked(&p.r, 9, "DELETE /bucket/v/probe/"));
    assert_true(s3_rig_asked(&p.r, 10, "DELETE /bucket/v/probe/"));
    s3_rig_close(&p.r);
}

static void a_server_that_refuses_and_overwrites_is_found_out(void **state)
{
    static const struct s3_rig_answer answers[] = {
        DONE,
        NOTHING_LISTED,
        FAILED("412", "PreconditionFailed"),
        BYTES("second"),
        CREATED,
        DONE,
        COMPLETED,
        FIVE_LONG,
        NO_VERSIONS,
        GONE,
        GONE};
    struct probe p;

    run(&p, answers, 11);
    assert_int_equal(p.r.err.code, ERR_OK);
    assert_false(p.found.if_absent);
    s3_rig_close(&p.r);
}

static void other_bytes_than_were_written_end_it(void **state)
{
    static const struct s3_rig_answer answers[] = {
        FAILED("501", "NotImplemented"), DONE, NOTHING_LISTED, BYTES("f1rst"),
        GONE};
    struct probe p;

    run(&p, answers, 5);
    assert_int_equal(p.r.err.code, ERR_INTEGRITY);
    assert_null(s3_rig_header(&p.r, 1, "if-none-match"));
    s3_rig_close(&p.r);
}

static void who_may_not_write_learns_it_at_once(void **state)
{
    static const struct s3_rig_answer answers[] = {
        FAILED("403", "AccessDenied"), FAILED("403", "AccessDenied")};
    struct probe p;

    run(&p, answers, 2);
    assert_int_equal(p.r.err.code, ERR_DENIED);
    assert_non_null(strstr(p.r.err.text, "AccessDenied"));
    s3_rig_close(&p.r);
}

static void who_may_not_remove_can_use_it_all_the_same(void **state)
{
    static const struct s3_rig_answer answers[] = {
        DONE,
        NOTHING_LISTED,
        FAILED("412", "PreconditionFailed"),
        BYTES("first"),
        CREATED,
        DONE,
        COMPLETED,
        FIVE_LONG,
        FAILED("403", "AccessDenied"),
        FAILED("403", "AccessDenied"),
        FAILED("403", "AccessDenied")};
    struct probe p;

    run(&p, answers, 11);
    assert_int_equal(p.r.err.code, ERR_OK);
    assert_true(p.found.if_absent);
    s3_rig_close(&p.r);
}

static void a_failed_upload_is_aborted(void **state)
{
    static const struct s3_rig_answer answers[] = {
        DONE,    NOTHING_LISTED,
        DONE,    BYTES("second"),
        CREATED, FAILED("403", "AccessDenied"),
        GONE,    GONE};
    struct probe p;

    run(&p, answers, 8);
    assert_int_equal(p.r.err.code, ERR_DENIED);
    assert_true(s3_rig_asked(&p.r, 6, "DELETE "));
    assert_non_null(strstr(p.r.heads[6], "?uploadId=u "));
    s3_rig_close(&p.r);
}

static void what_was_written_is_removed_after_a_cancel(void **state)
{
    static const struct s3_rig_answer answers[] = {
        DONE,
        {.text = OK,
         .body = "<ListBucketResult><IsTruncated>false"
                 "</IsTruncated></ListBucketResult>",
         .delay_ms = 30},
        GONE};
    struct probe p;

    begin(&p, answers, 3);
    while (s3_rig_seen(&p.r) < 2)
        s3_rig_run_ms(&p.r, 1);
    s3_probe_cancel(p.probe);
    assert_int_equal(p.r.done, 0);
    s3_rig_wait(&p.r, 1);
    assert_int_equal(p.r.err.code, ERR_CANCELLED);
    assert_true(s3_rig_asked(&p.r, 2, "DELETE "));
    s3_rig_close(&p.r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_ignores_the_condition_is_found_out),
        cmocka_unit_test(a_server_that_refuses_and_overwrites_is_found_out),
        cmocka_unit_test(other_bytes_than_were_written_end_it),
        cmocka_unit_test(who_may_not_write_learns_it_at_once),
        cmocka_unit_test(who_may_not_remove_can_use_it_all_the_same),
        cmocka_unit_test(a_failed_upload_is_aborted),
        cmocka_unit_test(what_was_written_is_removed_after_a_cancel),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
