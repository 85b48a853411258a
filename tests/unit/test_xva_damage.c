/* SPDX-License-Identifier: Apache-2.0 */
/* What can be wrong with an XVA, each kind once: the reader refuses it, in one
 * sentence that names entry and place. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/xml.h"
#include "crypto/seal_suite.h"
#include "image/xva_read.h"
#include "xva_build.h"
#include "xva_quiet.h"
#include "xva_zstd.h"

#define ARCHIVE_MAX ((size_t)64 << 20)

static struct seal_suite *suite;

static enum err_code read_all(const uint8_t *data, size_t len, size_t piece,
                              struct err *err)
{
    const struct xva_read_events events = xva_quiet();
    struct xva_read_opts opts = {.suite = suite, .events = &events};
    struct xva_read *r = NULL;
    enum err_code rc = ERR_OK;
    size_t used;

    err_clear(err);
    assert_int_equal(xva_read_new(&opts, &r, err), ERR_OK);
    for (size_t at = 0; rc == ERR_OK && at < len; at += used) {
        size_t n = len - at < piece ? len - at : piece;

        rc = xva_read_feed(r, data + at, n, &used, err);
        assert_true(rc != ERR_OK || used == n);
    }
    if (rc == ERR_OK)
        rc = xva_read_finish(r, err);
    else /* an error is final and repeats */
        assert_int_equal(xva_read_finish(r, NULL), rc);
    xva_read_free(r);
    return rc;
}

/* Whole and in pieces: the same error, word for word. */
static void expect(const char *why, const struct buf *b, enum err_code code,
                   const char *words)
{
    static const size_t pieces[] = {1000, 16384, ARCHIVE_MAX};
    struct err err, first = {0};

    for (size_t i = 0; i < BYTES_COUNT(pieces); i++) {
        if (read_all(b->data, b->len, pieces[i], &err) != code ||
            !strstr(err.text, words))
            fail_msg("%s: wanted %s \"%s\", got %s \"%s\"", why, err_name(code),
                     words, err_name(err.code), err.text);
        if (i > 0)
            assert_string_equal(err.text, first.text);
        first = err;
    }
}

/* Steps that build an archive: what a test leaves out, adds or spoils. */
struct part {
    const char *name; /* NULL ends the list */
    size_t size;
    enum {
        BLOCK,
        NO_SUM,
        WRONG_SUM,
        SHORT_SUM,
        NOT_HEX,
        SHA1,
        PLAIN,
        END_HALF,
        END,
        JUNK,
        FIFO,
        BAD_HEADER,
        NO_SIZE
    } kind;
};

static const struct build_disk disks[] = {{"Ref:3", 2 * BUILD_MIB},
                                          {"Ref:5", BUILD_MIB}};

/* Blanks for a size, and the header's sum put right again. */
static void blank_size(uint8_t *header)
{
    unsigned sum = 0;

    memset(header + 124, ' ', 11);
    memset(header + 148, ' ', 8);
    for (size_t i = 0; i < 512; i++)
        sum += header[i];
    snprintf((char *)header + 148, 8, "%07o", sum);
}

static void add_part(struct buf *b, const struct part *part, const uint8_t *p)
{
    char name[120];
    size_t at = b->len;

    snprintf(name, sizeof(name), "%s.%s", part->name,
             part->kind == SHA1 ? "checksum" : "xxhash");
    switch (part->kind) {
    case BLOCK:
        build_block(b, part->name, p, part->size);
        return;
    case END:
        build_end(b);
        return;
    case END_HALF:
        buf_add_zeros(b, 512);
        return;
    case JUNK:
        buf_add(b, p, part->size);
        return;
    case FIFO:
        build_header(b, part->name, part->size, '6', BUILD_USTAR);
        return;
    case BAD_HEADER:
        build_entry(b, part->name, p, part->size);
        b->data[at + 3] ^= 1;
        return;
    case NO_SIZE:
        build_header(b, part->name, 0, 0, BUILD_V7);
        blank_size(b->data + at);
        return;
    default:
        build_entry(b, part->name, p, part->size);
    }
    if (part->kind == WRONG_SUM)
        build_entry(b, name, "0000000000000000", 16);
    if (part->kind == SHORT_SUM)
        build_entry(b, name, "EF46DB3751D8E99", 15);
    if (part->kind == NOT_HEX)
        build_entry(b, name, "EF46DB3751D8E99g", 16);
    if (part->kind == SHA1)
        build_entry(b, name, "0123456789012345678901234567890123456789", 40);
}

#define WHOLE_3                            \
    {"Ref:3/00000000", BUILD_MIB, BLOCK},  \
    {                                      \
        "Ref:3/00000001", BUILD_MIB, BLOCK \
    }
#define WHOLE_5                            \
    {                                      \
        "Ref:5/00000000", BUILD_MIB, BLOCK \
    }
#define FINE       \
    {              \
        "", 0, END \
    }

static const struct {
    const char *why;
    struct part parts[8];
    enum err_code code;
    const char *words;
} rows[] = {
    {"a sound archive", {WHOLE_3, WHOLE_5, FINE}, ERR_OK, ""},
    {"a wrong checksum",
     {{"Ref:3/00000000", BUILD_MIB, WRONG_SUM}, FINE},
     ERR_INTEGRITY,
     "Ref:3/00000000.xxhash at byte "},
    {"a checksum of 15 digits",
     {{"Ref:3/00000000", BUILD_MIB, SHORT_SUM}, FINE},
     ERR_PROTOCOL,
     "a checksum of 15 instead of 16 digits"},
    {"a checksum that is no number",
     {{"Ref:3/00000000", BUILD_MIB, NOT_HEX}, FINE},
     ERR_PROTOCOL,
     "not hexadecimal"},
    {"a block without a checksum",
     {{"Ref:3/00000000", BUILD_MIB, NO_SUM}, WHOLE_5, FINE},
     ERR_PROTOCOL,
     "the checksum of Ref:3/00000000 should stand here"},
    {"the last block without a checksum",
     {WHOLE_3, {"Ref:5/00000000", BUILD_MIB, NO_SUM}, FINE},
     ERR_PROTOCOL,
     "the checksum of Ref:5/00000000 should stand here"},
    {"a checksum of another kind",
     {{"Ref:3/00000000", BUILD_MIB, BLOCK},
      {"Ref:3/00000001", BUILD_MIB, SHA1},
      FINE},
     ERR_PROTOCOL,
     "of another kind"},
    {"a checksum that belongs to nothing",
     {{"Ref:3/00000000", BUILD_MIB, BLOCK},
      {"Ref:3/00000000.xxhash", 16, PLAIN},
      FINE},
     ERR_PROTOCOL,
     "belongs to no block"},
    {"the last block is missing",
     {{"Ref:3/00000000", BUILD_MIB, BLOCK}, WHOLE_5, FINE},
     ERR_PROTOCOL,
     "disk Ref:3 ends at 1048576 of 2097152 bytes"},
    {"the last block of the last disk is missing",
     {{"Ref:3/00000000", BUILD_MIB, BLOCK}, FINE},
     ERR_PROTOCOL,
     "disk Ref:3 ends at 1048576 of 2097152 bytes"},
    {"the first block is missing",
     {{"Ref:3/00000001", BUILD_MIB, BLOCK}, FINE},
     ERR_PROTOCOL,
     "the disk's first block is missing"},
    {"the first block is empty",
     {{"Ref:3/00000000", 0, BLOCK}, FINE},
     ERR_PROTOCOL,
     "first block is empty"},
    {"a block twice",
     {{"Ref:3/00000000", BUILD_MIB, BLOCK},
      {"Ref:3/00000000", BUILD_MIB, BLOCK},
      FINE},
     ERR_PROTOCOL,
     "a block twice"},
    {"numbers that fall",
     {{"Ref:3/00000000", 4096, BLOCK},
      {"Ref:3/00000002", 4096, BLOCK},
      {"Ref:3/00000001", 4096, BLOCK},
      FINE},
     ERR_PROTOCOL,
     "wrong order"},
    {"numbers that rise but not as texts",
     {{"Ref:3/00000000", 4096, BLOCK}, {"Ref:3/000000001", 4096, BLOCK}, FINE},
     ERR_PROTOCOL,
     "wrong order"},
    {"a block behind the end of the disk",
     {WHOLE_3, {"Ref:3/00000002", 512, BLOCK}, FINE},
     ERR_PROTOCOL,
     "behind the disk's end (2097152 bytes)"},
    {"a block over the end of the disk",
     {WHOLE_3, {"Ref:5/00000000", BUILD_MIB + 512, BLOCK}, FINE},
     ERR_PROTOCOL,
     "behind the disk's end (1048576 bytes)"},
    {"a gap that overflows",
     {{"Ref:3/000000000000", BUILD_MIB, BLOCK},
      {"Ref:3/999999999999", BUILD_MIB, BLOCK},
      FINE},
     ERR_PROTOCOL,
     "behind the disk's end"},
    {"disks in the wrong order",
     {WHOLE_5, WHOLE_3, FINE},
     ERR_PROTOCOL,
     "disk Ref:3 (disk 0) is missing"},
    {"the first disk again",
     {WHOLE_3, WHOLE_5, {"Ref:3/00000002", 512, BLOCK}, FINE},
     ERR_PROTOCOL,
     "complete before"},
    {"the last disk is missing",
     {WHOLE_3, FINE},
     ERR_PROTOCOL,
     "disk Ref:5 (disk 1) is missing"},
    {"a disk that ova.xml does not know",
     {{"Ref:4/00000000", 512, BLOCK}, FINE},
     ERR_PROTOCOL,
     "Ref:4/00000000 at byte "},
    {"a name that is none of a block",
     {{"Ref:3/0000000", 512, BLOCK}, FINE},
     ERR_PROTOCOL,
     "no name of a disk's block"},
    {"a second ova.xml",
     {{"ova.xml", 512, PLAIN}, FINE},
     ERR_PROTOCOL,
     "ova.xml at byte "},
    {"something that is no file",
     {{"Ref:3/00000000", 0, FIFO}, FINE},
     ERR_PROTOCOL,
     "no regular file"},
    {"a header that is none",
     {{"Ref:3/00000000", BUILD_MIB, BAD_HEADER}, FINE},
     ERR_PROTOCOL,
     "no tar header"},
    {"a header without a size",
     {{"Ref:3/00000000", 0, NO_SIZE}, FINE},
     ERR_PROTOCOL,
     "a tar header without a size"},
    {"no end", {WHOLE_3, WHOLE_5}, ERR_IO, "cut short at byte"},
    {"half an end",
     {WHOLE_3, WHOLE_5, {"", 0, END_HALF}},
     ERR_IO,
     "cut short at byte"},
    {"an entry behind half an end",
     {WHOLE_3, {"", 0, END_HALF}, WHOLE_5, FINE},
     ERR_PROTOCOL,
     "behind half of an end"},
    {"something behind the end",
     {WHOLE_3, WHOLE_5, FINE, {"", 100, JUNK}},
     ERR_PROTOCOL,
     "something follows behind the end of the archive at byte "},
};

static void each_kind_of_damage_ends_in_a_sentence(void **state)
{
    uint8_t *p = malloc(2 * BUILD_MIB);
    struct buf b;

    (void)state;
    build_fill(p, 2 * BUILD_MIB, 1);
    for (size_t i = 0; i < BYTES_COUNT(rows); i++) {
        buf_init(&b, ARCHIVE_MAX);
        build_ova_entry(&b, disks, 2);
        for (const struct part *part = rows[i].parts; part->name; part++)
            add_part(&b, part, p);
        assert_false(buf_failed(&b));
        expect(rows[i].why, &b, rows[i].code, rows[i].words);
        buf_fini(&b);
    }
    free(p);
}

static void build_sound(struct buf *b)
{
    uint8_t *p = malloc(BUILD_MIB);

    build_fill(p, BUILD_MIB, 1);
    buf_init(b, ARCHIVE_MAX);
    build_ova_entry(b, disks, 2);
    build_block(b, "Ref:3/00000000", p, BUILD_MIB);
    build_block(b, "Ref:3/00000001", p, BUILD_MIB);
    build_block(b, "Ref:5/00000000", p, BUILD_MIB);
    build_end(b);
    free(p);
}

static void cut_anywhere_it_is_not_whole(void **state)
{
    struct buf b, packed;
    struct err err;

    (void)state;
    build_sound(&b);
    for (size_t at = 0; at < b.len; at += at < 20000 ? 97 : 49999)
        if (read_all(b.data, at, 16384, &err) != ERR_IO)
            fail_msg("cut at %zu: %s", at, err.text);
    for (size_t cut = 1; cut <= 3000; cut++)
        if (read_all(b.data, b.len - cut, ARCHIVE_MAX, &err) != ERR_IO)
            fail_msg("the last %zu missing: %s", cut, err.text);
    build_zstd(&b, &packed);
    assert_int_equal(read_all(packed.data, packed.len, 1000, &err), ERR_OK);
    for (size_t at = 0; at < packed.len; at += at < 1000 ? 1 : 9999)
        if (read_all(packed.data, at, 16384, &err) != ERR_IO)
            fail_msg("zstd cut at %zu: %s", at, err.text);
    if (read_all(packed.data, packed.len - 1, 16384, &err) != ERR_IO)
        fail_msg("zstd cut by one: %s", err.text);
    buf_fini(&packed);
    buf_fini(&b);
}

static const char page[] =
    "HTTP/1.1 500 Internal Error\r\ncontent-length: 266\r\n"
    "content-type: text/html\r\nconnection: close\r\ncache-control: no-cache, "
    "no-store\r\n\r\n<html><body><h1>HTTP 500 internal server error</h1>An "
    "unexpected error occurred; please wait a while and try again. If the "
    "problem persists, please contact your support representative.<h1> "
    "Additional information </h1>VDI_IO_ERROR: [ Device I/O errors ]</body>"
    "</html>";

static void a_second_answer_in_the_stream_is_the_error(void **state)
{
    static const size_t back[] = {1,       100,     511,    512,  513,
                                  700,     1024,    1500,   2000, 300000,
                                  1048576, 1049000, 2100000};
    struct buf b, cut;

    (void)state;
    build_sound(&b);
    for (size_t i = 0; i < BYTES_COUNT(back); i++) {
        char words[120];

        buf_init(&cut, ARCHIVE_MAX);
        buf_add(&cut, b.data, b.len - back[i]);
        buf_add(&cut, page, sizeof(page) - 1);
        snprintf(words, sizeof(words),
                 "the pool broke off the export after %zu bytes: "
                 "VDI_IO_ERROR: [ Device I/O errors ]",
                 b.len - back[i]);
        expect("cut and answered", &cut, ERR_REMOTE, words);
        buf_fini(&cut);
    }
    /* behind the end, too */
    buf_add(&b, page, sizeof(page) - 1);
    expect("answered behind the end", &b, ERR_REMOTE, "VDI_IO_ERROR");
    buf_fini(&b);
}

static void a_second_answer_behind_zstd_is_the_error(void **state)
{
    struct buf b, cut, packed;

    (void)state;
    build_sound(&b);
    build_zstd(&b, &packed);
    for (size_t back = 0; back < 3000; back += 371) {
        buf_init(&cut, ARCHIVE_MAX);
        buf_add(&cut, packed.data, packed.len - back);
        buf_add(&cut, page, sizeof(page) - 1);
        expect("zstd, cut and answered", &cut, ERR_REMOTE, "VDI_IO_ERROR");
        buf_fini(&cut);
    }
    buf_fini(&packed);
    buf_fini(&b);
}

static void an_answer_instead_of_the_export_is_the_error(void **state)
{
    struct buf b;

    (void)state;
    buf_init(&b, ARCHIVE_MAX);
    buf_add(&b, page, sizeof(page) - 1);
    expect("an answer as the body", &b, ERR_REMOTE,
           "the pool sent an error instead of the export: VDI_IO_ERROR: [ "
           "Device I/O errors ]");
    buf_fini(&b);
}

/* Guests keep web pages on their disks: a sound block is a sound block. */
static void an_answer_on_a_disk_is_data(void **state)
{
    static const struct build_disk one[] = {{"Ref:3", 4096}};
    uint8_t p[4096];
    struct buf b;

    (void)state;
    build_fill(p, sizeof(p), 1);
    memcpy(p, page, sizeof(page));
    buf_init(&b, ARCHIVE_MAX);
    build_ova_entry(&b, one, 1);
    build_block(&b, "Ref:3/00000000", p, sizeof(p));
    build_end(&b);
    expect("a page on a disk", &b, ERR_OK, "");
    buf_fini(&b);
}

static void what_is_no_xva_is_refused(void **state)
{
    static const struct {
        const char *why, *bytes;
        size_t len;
        const char *words;
        enum err_code code;
    } kinds[] = {
        {"nothing", "", 0, "the stream is empty", ERR_IO},
        {"three bytes", "abc", 3, "cut short at byte 3", ERR_IO},
        {"gzip", "\x1f\x8b\x08\x00\x00\x00", 6, "compressed with gzip",
         ERR_PROTOCOL},
        {"a zstd block of no type", "\x28\xb5\x2f\xfd\x20\x01\x07\0\0", 9,
         "zstd stream is damaged", ERR_PROTOCOL},
    };
    struct buf b;
    uint8_t junk[600];

    (void)state;
    for (size_t i = 0; i < BYTES_COUNT(kinds); i++) {
        buf_init(&b, ARCHIVE_MAX);
        buf_add(&b, kinds[i].bytes, kinds[i].len);
        expect(kinds[i].why, &b, kinds[i].code, kinds[i].words);
        buf_fini(&b);
    }
    build_fill(junk, sizeof(junk), 3);
    buf_init(&b, ARCHIVE_MAX);
    buf_add(&b, junk, sizeof(junk));
    expect("junk", &b, ERR_PROTOCOL, "at byte 0 of the archive: no tar header");
    buf_clear(&b);
    build_entry(&b, "Ref:3/00000000", "x", 1);
    expect("a block first", &b, ERR_PROTOCOL, "an XVA begins with ova.xml");
    buf_clear(&b);
    build_end(&b);
    expect("an end at once", &b, ERR_PROTOCOL, "the archive is empty");
    buf_clear(&b);
    build_entry(&b, "ova.xml", "", 0);
    expect("an empty ova.xml", &b, ERR_PROTOCOL, "too few");
    buf_clear(&b);
    build_header(&b, "ova.xml", 17 << 20, 0, BUILD_V7);
    expect("a huge ova.xml", &b, ERR_PROTOCOL, "too many");
    buf_clear(&b);
    build_entry(&b, "ova.xml", "<value>", 7);
    expect("a broken ova.xml", &b, ERR_PROTOCOL, "ova.xml");
    buf_fini(&b);
}

/* 2^63 zeros behind the end would cost a decoder years. */
static void zeros_without_end_are_refused(void **state)
{
    struct buf b, packed;

    (void)state;
    build_sound(&b);
    buf_add_zeros(&b, (size_t)8 << 20);
    build_zstd(&b, &packed);
    expect("zeros behind the end", &packed, ERR_PROTOCOL, "something follows");
    buf_fini(&packed);
    buf_fini(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_kind_of_damage_ends_in_a_sentence),
        cmocka_unit_test(cut_anywhere_it_is_not_whole),
        cmocka_unit_test(a_second_answer_in_the_stream_is_the_error),
        cmocka_unit_test(a_second_answer_behind_zstd_is_the_error),
        cmocka_unit_test(an_answer_instead_of_the_export_is_the_error),
        cmocka_unit_test(an_answer_on_a_disk_is_data),
        cmocka_unit_test(what_is_no_xva_is_refused),
        cmocka_unit_test(zeros_without_end_are_refused),
    };
    struct err err;
    int failed;

    xml_setup();
    if (seal_suite_new(&suite, &err) != ERR_OK)
        return 1;
    failed = cmocka_run_group_tests(tests, NULL, NULL);
    seal_suite_free(suite);
    return failed;
}
