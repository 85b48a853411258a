/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/err.h"
#include "base/shown.h"

/* Code points by their names in the Unicode standard. */
static const struct {
    const char *why, *text, *shown;
} rows[] = {
    {"plain text", "web-1 (old)", "web-1 (old)"},
    {"letters of any script", "m\xc3\xa4il \xe2\x9c\x89 \xf0\x9f\x90\x91",
     "m\xc3\xa4il \xe2\x9c\x89 \xf0\x9f\x90\x91"},
    {"ESC, which begins commands", "\x1b[2J", "?[2J"},
    {"newline, return, tab, BEL, DEL",
     "a\nb\rc\td\x07"
     "e\x7f",
     "a?b?c?d?e?"},
    {"U+009B, ESC [ in one character",
     "x\xc2\x9b"
     "2J",
     "x?2J"},
    {"U+0085, next line", "a\xc2\x85z", "a?z"},
    {"U+00A0 is a letter's neighbour", "a\xc2\xa0z", "a\xc2\xa0z"},
    {"U+202E, right-to-left override", "\xe2\x80\xaegnp.exe", "?gnp.exe"},
    {"U+2066 to U+2069, isolates", "\xe2\x81\xa6z\xe2\x81\xa9", "?z?"},
    {"U+2028, line separator",
     "a\xe2\x80\xa8"
     "b",
     "a?b"},
    {"U+2030 is none of them", "\xe2\x80\xb0", "\xe2\x80\xb0"},
    {"U+FEFF, byte order mark", "\xef\xbb\xbfz", "?z"},
    {"no UTF-8, byte by byte", "a\xff\xc3", "a??"},
    {"overlong", "\xc0\x8a", "??"},
    {"a surrogate", "\xed\xa0\x80", "???"},
    {"nothing", "", ""},
};

static void what_would_move_the_cursor_is_not_shown(void **state)
{
    char text[64];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        snprintf(text, sizeof(text), "%s", rows[i].text);
        shown_clean(text);
        if (strcmp(text, rows[i].shown) != 0)
            fail_msg("%s: %s", rows[i].why, text);
    }
}

static void a_sentence_can_always_be_shown(void **state)
{
    struct err err = {0};
    char text[sizeof(err.text)], letters[3 * sizeof(err.text)] = "";

    (void)state;
    for (size_t i = 0; i + 4 < sizeof(letters); i += 3)
        memcpy(letters + i, "\xe2\x9c\x89", 4);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        err_set(&err, ERR_IO, 0, "VM %s", rows[i].text);
        assert_string_equal(err.text + 3, rows[i].shown);
        err_context(&err, "%s", rows[i].text);
        assert_null(strpbrk(err.text, "\n\x1b\r"));
    }
    /* Cut in the middle of a letter: what is left is UTF-8 all the same. */
    for (size_t pad = 0; pad < 4; pad++) {
        err_set(&err, ERR_IO, 0, "%.*s%s", (int)pad, "aaaa", letters);
        memcpy(text, err.text, sizeof(text));
        shown_clean(text);
        assert_string_equal(text, err.text);
        assert_null(strchr(text, '?'));
        assert_string_equal(text + strlen(text) - 3, "...");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_move_the_cursor_is_not_shown),
        cmocka_unit_test(a_sentence_can_always_be_shown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
