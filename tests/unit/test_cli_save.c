/* SPDX-License-Identifier: Apache-2.0 */
#include <stdarg.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "cli/cli_save.h"

struct place {
    char dir[64];
    char path[96];
};

static int place_setup(void **state)
{
    struct place *p = test_malloc(sizeof(*p));

    snprintf(p->dir, sizeof(p->dir), "/tmp/cairn-save-XXXXXX");
    assert_non_null(mkdtemp(p->dir));
    snprintf(p->path, sizeof(p->path), "%s/disk.raw", p->dir);
    *state = p;
    return 0;
}

static int place_teardown(void **state)
{
    struct place *p = *state;

    unlink(p->path);
    assert_int_equal(rmdir(p->dir), 0); /* nothing else was left */
    test_free(p);
    return 0;
}

static unsigned files_in(const char *dir)
{
    DIR *d = opendir(dir);
    struct dirent *e;
    unsigned n = 0;

    assert_non_null(d);
    while ((e = readdir(d)) != NULL)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

/* Random lengths over data with runs of zeros, so that every edge of a block
 * is met. */
static void what_was_written_is_read_back_with_holes(void **state)
{
    static uint8_t data[1 << 20];
    struct place *p = *state;
    struct cli_save *s;
    struct stat st;
    struct err err;
    uint8_t *back = test_malloc(sizeof(data));
    unsigned seed = 7;
    int fd;

    memset(data, 0, sizeof(data));
    for (size_t i = 0; i < sizeof(data); i += 64 * 1024)
        memset(data + i, 0x5a, 5000);
    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_OK);
    for (size_t at = 0; at < sizeof(data);) {
        size_t n = (size_t)rand_r(&seed) % 16384 + 1;

        if (n > sizeof(data) - at)
            n = sizeof(data) - at;
        assert_int_equal(access(p->path, F_OK), -1);
        assert_int_equal(cli_save_write(s, data + at, n, &err), ERR_OK);
        at += n;
    }
    assert_int_equal(cli_save_bytes(s), sizeof(data));
    assert_int_equal(cli_save_finish(s, &err), ERR_OK);
    cli_save_free(s);
    assert_int_equal(files_in(p->dir), 1);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_size, sizeof(data));
    assert_int_equal(st.st_mode & 0777, 0600);
    assert_true((uint64_t)st.st_blocks * 512 < sizeof(data) / 2);
    fd = open(p->path, O_RDONLY);
    assert_int_equal(read(fd, back, sizeof(data)), sizeof(data));
    close(fd);
    assert_memory_equal(back, data, sizeof(data));
    test_free(back);
}

static void a_file_that_ends_in_zeros_has_its_whole_length(void **state)
{
    static const uint8_t zeros[8192];
    struct place *p = *state;
    struct cli_save *s;
    struct stat st;
    struct err err;

    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, "x", 1, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, zeros, sizeof(zeros), &err), ERR_OK);
    assert_int_equal(cli_save_finish(s, &err), ERR_OK);
    cli_save_free(s);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_size, 8193);
    /* the last block of the file is a hole */
    assert_int_equal(unlink(p->path), 0);
    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, "x", 1, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, zeros, sizeof(zeros) - 1, &err), ERR_OK);
    assert_int_equal(cli_save_finish(s, &err), ERR_OK);
    cli_save_free(s);
    assert_int_equal(stat(p->path, &st), 0);
    assert_int_equal(st.st_size, 8192);
}

static void without_an_end_nothing_stays(void **state)
{
    struct place *p = *state;
    struct cli_save *s;
    struct err err;

    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, "abc", 3, &err), ERR_OK);
    assert_int_equal(files_in(p->dir), 1);
    cli_save_free(s);
    assert_int_equal(files_in(p->dir), 0);
}

static void what_exists_is_never_replaced(void **state)
{
    struct place *p = *state;
    struct cli_save *s = NULL;
    struct err err;
    char text[8] = "";
    FILE *f;

    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_OK);
    assert_int_equal(cli_save_write(s, "new", 3, &err), ERR_OK);
    f = fopen(p->path, "w"); /* somebody else was quicker */
    assert_non_null(f);
    fputs("old", f);
    fclose(f);
    assert_int_equal(cli_save_finish(s, &err), ERR_CONFLICT);
    cli_save_free(s);
    assert_int_equal(cli_save_new(p->path, &s, &err), ERR_CONFLICT);
    f = fopen(p->path, "r");
    assert_int_equal(fread(text, 1, sizeof(text), f), 3);
    fclose(f);
    assert_string_equal(text, "old");
    assert_int_equal(files_in(p->dir), 1);
}

static void a_place_that_is_not_there_is_an_error(void **state)
{
    struct place *p = *state;
    char path[128];
    struct cli_save *s;
    struct err err;

    snprintf(path, sizeof(path), "%s/none/x", p->dir);
    assert_int_equal(cli_save_new(path, &s, &err), ERR_IO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define ROW(name) cmocka_unit_test_setup_teardown(name, place_setup, \
                                                  place_teardown)
        ROW(what_was_written_is_read_back_with_holes),
        ROW(a_file_that_ends_in_zeros_has_its_whole_length),
        ROW(without_an_end_nothing_stays),
        ROW(what_exists_is_never_replaced),
        ROW(a_place_that_is_not_there_is_an_error),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
