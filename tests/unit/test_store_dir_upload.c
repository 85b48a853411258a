/* SPDX-License-Identifier: Apache-2.0 */
/* Uploads into a folder, and what is left of those whose writer died. */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store_dir_rig.h"

static void an_upload_is_an_object_only_when_complete(void **state)
{
    struct store_dir_rig *w = *state;
    size_t part = STORE_PART_BYTES;
    uint8_t *data = store_dir_rig_pattern(2 * part + 1000, 4);
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "packs/00/p"), ERR_OK);
    up = w->t.upload;
    assert_non_null(up);
    assert_int_equal(store_try_part(&w->t, up, 3, data + 2 * part, 1000),
                     ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, part), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_ARGUMENT);
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, part), ERR_OK);
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    assert_int_equal(store_try_list_uploads(&w->t, "packs/"), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "packs/00/p 0\n");
    assert_string_equal(w->t.upload_id, store_upload_id(up));
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(w->t.info.bytes, 2 * part + 1000);
    assert_int_equal(
        store_try_get(&w->t, "packs/00/p", (struct store_range){0}), ERR_OK);
    assert_int_equal(w->t.bytes.len, 2 * part + 1000);
    assert_memory_equal(w->t.bytes.data, data, 2 * part + 1000);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    free(data);
}

/* Aligned ones go past the page cache, others through it, over each other. */
static void aligned_parts_and_others_make_one_object(void **state)
{
    struct store_dir_rig *w = *state;
    size_t part = STORE_PART_BYTES, last = 2 * MIB + 4096;
    uint8_t *data = aligned_alloc(4096, part + last);
    uint8_t *old = store_dir_rig_pattern(part, 6);
    uint8_t *new = store_dir_rig_pattern(part + last, 7);
    struct store_upload *up;

    memcpy(data, new, part + last);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, old, part), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, part), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, last), ERR_OK);
    /* the end of the last part again, now byte by byte off the grid */
    assert_int_equal(store_try_part(&w->t, up, 2, data + part, last - 1),
                     ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "p", (struct store_range){0}),
                     ERR_OK);
    assert_int_equal(w->t.bytes.len, part + last - 1);
    assert_memory_equal(w->t.bytes.data, new, part + last - 1);
    free(data);
    free(old);
    free(new);
}

static void a_part_written_again_counts_as_last_written(void **state)
{
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(STORE_PART_BYTES, 5);
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, data, STORE_PART_BYTES),
                     ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 1, data, 10), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_dir_rig_file_bytes(w, "p"), 10);

    /* a short one in the middle is refused until it is written in full */
    assert_int_equal(store_try_create(&w->t, "q"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, data, 10), ERR_OK);
    assert_int_equal(store_try_part(&w->t, up, 2, data, 20), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_ARGUMENT);
    assert_int_equal(store_try_part(&w->t, up, 1, data, STORE_PART_BYTES),
                     ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_dir_rig_file_bytes(w, "q"), STORE_PART_BYTES + 20);
    free(data);
}

static void an_aborted_upload_leaves_nothing(void **state)
{
    struct store_dir_rig *w = *state;
    struct store_upload *up;

    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "x", 1), ERR_OK);
    assert_int_equal(store_try_abort(&w->t, up), ERR_OK);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    assert_int_equal(store_try_list(&w->t, "", NULL), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
}

static void an_abort_waits_for_parts_under_way(void **state)
{
    struct store_dir_rig *w = *state;
    uint8_t *data = store_dir_rig_pattern(STORE_PART_BYTES, 6);
    struct slice body = {data, STORE_PART_BYTES};
    struct store_try parts, end;
    struct store_part_opts part = {
        .body = &body, .slices = 1, .done = store_try_on_done, .ctx = &parts};
    struct err err;

    store_try_init(&parts, w->store);
    store_try_init(&end, w->store);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    for (part.number = 1; part.number <= 3; part.number++)
        assert_int_equal(store_upload_part(w->t.upload, &part, NULL, &err),
                         ERR_OK);
    assert_int_equal(
        store_upload_abort(w->t.upload, store_try_on_done, &end, NULL, &err),
        ERR_OK);
    part.number = 4;
    assert_int_equal(store_upload_part(w->t.upload, &part, NULL, &err),
                     ERR_ARGUMENT);
    store_try_wait(&end, 1);
    assert_int_equal(end.err.code, ERR_OK);
    assert_int_equal(parts.done, 3);
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    store_try_fini(&parts);
    store_try_fini(&end);
    free(data);
}

static void
completing_onto_a_name_that_exists_fails_and_can_be_aborted(void **state)
{
    struct store_dir_rig *w = *state;
    struct store_upload *up;

    assert_int_equal(store_try_put(&w->t, "p", "old", 3), ERR_OK);
    assert_int_equal(store_try_create(&w->t, "p"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "new", 3), ERR_OK);
    assert_int_equal(store_try_complete(&w->t, up), ERR_CONFLICT);
    assert_int_equal(store_try_complete(&w->t, up), ERR_CONFLICT);
    assert_int_equal(store_try_abort(&w->t, up), ERR_OK);
    assert_int_equal(store_try_get(&w->t, "p", (struct store_range){0}),
                     ERR_OK);
    assert_memory_equal(w->t.bytes.data, "old", 3);
}

/* By another store on the folder, before it writes for the first time. */
static void what_dead_writers_left_goes_and_what_is_written_stays(void **state)
{
    static const char *const left[] = {
        "u-20260102T030405Z-0123456789abcdef+packs+07+q",
        "p-20260102T030405Z-0123456789abcdef+keys+o", "something-else"};
    struct store_dir_rig *w = *state;
    struct store *other;
    struct store_upload *up;
    struct store_try t;
    struct err err;
    char path[300];

    assert_int_equal(store_try_create(&w->t, "packs/07/r"), ERR_OK);
    up = w->t.upload;
    assert_int_equal(store_try_part(&w->t, up, 1, "abc", 3), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(left); i++) {
        snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[i]);
        close(open(path, O_CREAT | O_WRONLY, 0600));
    }
    snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[1]);
    assert_int_equal(store_dir_new(w->loop, w->root, w->lane, &other, &err),
                     ERR_OK);
    store_try_init(&t, other);
    assert_int_equal(store_try_list(&t, "", NULL), ERR_OK);
    assert_int_equal(access(path, F_OK), 0); /* who only reads takes nothing */
    assert_int_equal(store_try_put(&t, "format", "{}", 2), ERR_OK);
    for (size_t i = 0; i < BYTES_COUNT(left); i++) {
        snprintf(path, sizeof(path), "%s/tmp/%s", w->root, left[i]);
        assert_int_equal(access(path, F_OK) == 0, i == 2);
    }
    store_try_fini(&t);
    store_free(other);
    assert_int_equal(store_try_complete(&w->t, up), ERR_OK);
    assert_int_equal(store_try_head(&w->t, "packs/07/r"), ERR_OK);
    assert_int_equal(w->t.info.bytes, 3);
}

static void what_a_dead_process_left_is_found_and_aborted(void **state)
{
    struct store_dir_rig *w = *state;
    char path[300];
    struct err err;

    assert_int_equal(store_try_put(&w->t, "format", "{}", 2), ERR_OK);
    snprintf(path, sizeof(path),
             "%s/tmp/u-20260102T030405Z-0123456789abcdef+packs+07+q", w->root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    snprintf(path, sizeof(path), "%s/tmp/something-else", w->root);
    close(open(path, O_CREAT | O_WRONLY, 0600));
    assert_int_equal(store_try_list_uploads(&w->t, "maps/"), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
    assert_int_equal(store_try_list_uploads(&w->t, "packs/"), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "packs/07/q 0\n");
    assert_string_equal(w->t.upload_id, "u-20260102T030405Z-0123456789abcdef");

    w->t.done = 0;
    assert_int_equal(store_upload_abort_by_id(w->store, "packs/07/q", "../../x",
                                              store_try_on_done, &w->t, NULL,
                                              &err),
                     ERR_ARGUMENT);
    for (int twice = 0; twice < 2; twice++) { /* that it is gone is no error */
        w->t.done = 0;
        assert_int_equal(
            store_upload_abort_by_id(w->store, "packs/07/q", w->t.upload_id,
                                     store_try_on_done, &w->t, NULL, &err),
            ERR_OK);
        store_try_wait(&w->t, 1);
        assert_int_equal(w->t.err.code, ERR_OK);
    }
    assert_int_equal(store_try_list_uploads(&w->t, ""), ERR_OK);
    assert_string_equal(store_dir_rig_text(&w->t), "");
}

#define IN(f)                                                \
    cmocka_unit_test_setup_teardown(f, store_dir_rig_setup,  \
                                    store_dir_rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN(an_upload_is_an_object_only_when_complete),
        IN(aligned_parts_and_others_make_one_object),
        IN(a_part_written_again_counts_as_last_written),
        IN(an_aborted_upload_leaves_nothing),
        IN(an_abort_waits_for_parts_under_way),
        IN(completing_onto_a_name_that_exists_fails_and_can_be_aborted),
        IN(what_dead_writers_left_goes_and_what_is_written_stays),
        IN(what_a_dead_process_left_is_found_and_aborted),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
