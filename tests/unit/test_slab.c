/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "loop/slab.h"

static void slabs_are_whole_pages_and_writable(void **state)
{
    struct slab_room *room = slab_room_new(5000, 1);
    struct slab *a = slab_take(room), *b = slab_take(room);

    (void)state;
    assert_int_equal((uintptr_t)a->data % (uintptr_t)sysconf(_SC_PAGESIZE), 0);
    assert_int_equal(a->size, 5000);
    assert_int_equal(a->len, 0);
    assert_ptr_not_equal(a->data, b->data);
    memset(a->data, 1, 5000);
    memset(b->data, 2, 5000);
    assert_int_equal(a->data[4999], 1);
    slab_give(a);
    slab_give(b);
    slab_room_free(room);
}

static void a_free_slab_is_used_again(void **state)
{
    struct slab_room *room = slab_room_new(KIB, 2);
    struct slab *a = slab_take(room), *b;
    uint8_t *data = a->data;

    (void)state;
    a->len = 7;
    slab_give(a);
    b = slab_take(room);
    assert_ptr_equal(b->data, data);
    assert_int_equal(b->len, 0);
    slab_give(b);
    slab_give(NULL);
    slab_room_free(room);
    slab_room_free(NULL);
}

/* Whether a line of maps or smaps begins the mapping of `data`; *is_head: it
 * begins one at all. */
static bool begins_mapping(const char *line, const void *data, bool *is_head)
{
    char *end;
    uintptr_t from = strtoul(line, &end, 16);
    uintptr_t to = *end == '-' ? strtoul(end + 1, &end, 16) : 0;

    *is_head = to != 0 && *end == ' ';
    return *is_head && from <= (uintptr_t)data && (uintptr_t)data < to;
}

/* The flags of the mapping at `data` in /proc/self/smaps; "" if none. */
static void flags_at(const void *data, char flags[512])
{
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool inside = false;

    assert_non_null(f);
    flags[0] = 0;
    while (fgets(line, sizeof(line), f)) {
        bool is_head;
        bool here = begins_mapping(line, data, &is_head);

        if (is_head)
            inside = here;
        else if (inside && strncmp(line, "VmFlags:", 8) == 0)
            memcpy(flags, line + 8, sizeof(line) - 8);
    }
    fclose(f);
}

static void slabs_stay_out_of_core_dumps(void **state)
{
    struct slab_room *room = slab_room_new(MIB, 0);
    struct slab *slab = slab_take(room);
    char flags[512];

    (void)state;
    flags_at(slab->data, flags);
    if (!flags[0])
        skip(); /* no VmFlags in this kernel */
    assert_non_null(strstr(flags, " dd")); /* proc(5): do not dump */
    slab_give(slab);
    slab_room_free(room);
}

static bool is_mapped(const void *data)
{
    FILE *f = fopen("/proc/self/maps", "r");
    char line[512];
    bool found = false;

    assert_non_null(f);
    while (fgets(line, sizeof(line), f)) {
        bool is_head;

        found = begins_mapping(line, data, &is_head) || found;
    }
    fclose(f);
    return found;
}

static void no_more_than_keep_max_stay_mapped(void **state)
{
    struct slab_room *room = slab_room_new(MIB, 2);
    struct slab *slabs[5];
    uint8_t *data[5];

    (void)state;
    for (int i = 0; i < 5; i++) {
        slabs[i] = slab_take(room);
        data[i] = slabs[i]->data;
    }
    for (int i = 0; i < 5; i++)
        slab_give(slabs[i]);
    for (int i = 0; i < 5; i++)
        assert_int_equal(is_mapped(data[i]), i < 2);
    slab_room_free(room);
    assert_false(is_mapped(data[0]));
}

static void rooms_keep_no_more_than_they_may_together(void **state)
{
    struct slab_keep keep = {.max = 3};
    struct slab_room *room[2];
    struct slab *slabs[2][4];
    uint8_t *data[2][4];

    (void)state;
    for (int r = 0; r < 2; r++) {
        room[r] = slab_room_new(MIB, 2);
        slab_room_share(room[r], &keep);
        for (int i = 0; i < 4; i++) {
            slabs[r][i] = slab_take(room[r]);
            data[r][i] = slabs[r][i]->data;
        }
    }
    for (int r = 0; r < 2; r++)
        for (int i = 0; i < 4; i++)
            slab_give(slabs[r][i]);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(is_mapped(data[0][i]), i < 2);
        assert_int_equal(is_mapped(data[1][i]), i < 1);
    }
    /* What one takes again, the other may keep. */
    slabs[0][0] = slab_take(room[0]);
    slabs[1][0] = slab_take(room[1]);
    slabs[1][1] = slab_take(room[1]);
    data[1][1] = slabs[1][1]->data;
    slab_give(slabs[1][0]);
    slab_give(slabs[1][1]);
    assert_true(is_mapped(data[1][1]));
    slab_give(slabs[0][0]);
    slab_room_free(room[0]);
    slab_room_free(room[1]);
    assert_int_equal(keep.kept, 0);
}

static void a_senseless_size_is_refused(void **state)
{
    (void)state;
    assert_null(slab_room_new(0, 1));
    assert_null(slab_room_new(SIZE_MAX, 1));
}

static void no_memory_is_told(void **state)
{
    struct slab_room *room = slab_room_new(SIZE_MAX / 4, 1);

    (void)state;
    assert_non_null(room);
    assert_null(slab_take(room));
    slab_room_free(room);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slabs_are_whole_pages_and_writable),
        cmocka_unit_test(a_free_slab_is_used_again),
        cmocka_unit_test(slabs_stay_out_of_core_dumps),
        cmocka_unit_test(no_more_than_keep_max_stay_mapped),
        cmocka_unit_test(rooms_keep_no_more_than_they_may_together),
        cmocka_unit_test(a_senseless_size_is_refused),
        cmocka_unit_test(no_memory_is_told),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
