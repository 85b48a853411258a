/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/name.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "crypto/seal_key.h"

/* A name as it is taken apart: what is left of it. */
struct rest {
    const char *at;
    bool bad;
};

static void expect(struct rest *r, const char *text)
{
    size_t len = strlen(text);

    if (r->bad || strncmp(r->at, text, len) != 0)
        r->bad = true;
    else
        r->at += len;
}

/* The next len characters as text of their own. */
static void take(struct rest *r, size_t len, char *out)
{
    out[0] = 0;
    if (r->bad || strlen(r->at) < len) {
        r->bad = true;
        return;
    }
    memcpy(out, r->at, len);
    out[len] = 0;
    r->at += len;
}

static void take_hex(struct rest *r, uint8_t *out, size_t len)
{
    char text[33];

    take(r, 2 * len, text);
    if (!r->bad && !bytes_unhex(text, out, len))
        r->bad = true;
}

static uint32_t take_number(struct rest *r, size_t digits)
{
    uint8_t raw[4] = {0};
    uint32_t n = 0;

    take_hex(r, raw, digits / 2);
    for (size_t i = 0; i < digits / 2; i++)
        n = n << 8 | raw[i];
    return n;
}

/* "<time>-<rand>" to the end */
static void take_stamp(struct rest *r, struct name *n)
{
    char text[17];

    take(r, 16, text);
    if (!r->bad && !clock_parse_compact(text, &n->time_ms))
        r->bad = true;
    expect(r, "-");
    n->rand = take_number(r, 8);
}

static void take_key(struct rest *r, struct name *n)
{
    if (strncmp(r->at, "recovery/", 9) == 0) {
        n->kind = NAME_RECOVERY;
        expect(r, "recovery/");
    } else {
        n->kind = NAME_KEY;
        take_hex(r, n->id.b, 16);
        expect(r, "/");
    }
    take_hex(r, n->tag.b, 16);
    expect(r, "-");
    n->rand = take_number(r, 8);
}

static void take_pack(struct rest *r, struct name *n)
{
    uint8_t first = 0;

    take_hex(r, &first, 1);
    expect(r, "/");
    take_hex(r, n->id.b, 16);
    if (!r->bad && first != n->id.b[0])
        r->bad = true;
    if (r->bad || !*r->at)
        return;
    expect(r, ".");
    n->gen = (uint16_t)take_number(r, 4);
    expect(r, "-");
    n->rand = take_number(r, 8);
    if (n->gen == 0) /* generations with a suffix begin at 0001 */
        r->bad = true;
}

static bool starts(const char *text, const char *prefix, struct rest *r)
{
    size_t len = strlen(prefix);

    if (strncmp(text, prefix, len) != 0)
        return false;
    r->at = text + len;
    return true;
}

bool name_parse(const char *text, struct name *out)
{
    struct rest r = {text, false};
    struct name n;

    memset(&n, 0, sizeof(n));
    if (strcmp(text, "format") == 0) {
        n.kind = NAME_FORMAT;
        r.at = "";
    } else if (starts(text, "packs/", &r)) {
        n.kind = NAME_PACK;
        take_pack(&r, &n);
    } else if (starts(text, "maps/", &r)) {
        n.kind = NAME_MAP;
        take_pack(&r, &n);
    } else if (starts(text, "points/", &r)) {
        n.kind = NAME_POINT;
        take_hex(&r, n.id.b, 16);
        expect(&r, "/");
        take_stamp(&r, &n);
    } else if (starts(text, "gc/", &r)) {
        n.kind = NAME_LIST;
        take_stamp(&r, &n);
    } else if (starts(text, "index/", &r)) {
        n.kind = NAME_INDEX;
        take_stamp(&r, &n);
    } else if (starts(text, "keys/", &r)) {
        take_key(&r, &n);
    } else {
        return false;
    }
    if (r.bad || *r.at)
        return false;
    *out = n;
    return true;
}

bool name_parse_n(const char *text, size_t len, struct name *out)
{
    char copy[NAME_TEXT];

    if (len >= sizeof(copy) || memchr(text, 0, len))
        return false;
    memcpy(copy, text, len);
    copy[len] = 0;
    return name_parse(copy, out);
}

static void stamp_text(const struct name *n, const char *prefix,
                       char out[NAME_TEXT])
{
    char time[CLOCK_TEXT];

    clock_compact(n->time_ms, time);
    snprintf(out, NAME_TEXT, "%s%s-%08x", prefix, time, n->rand);
}

static void pack_text(const struct name *n, char out[NAME_TEXT])
{
    char id[33], suffix[16] = "";

    bytes_hex(n->id.b, 16, id);
    if (n->gen)
        snprintf(suffix, sizeof(suffix), ".%04x-%08x", n->gen, n->rand);
    snprintf(out, NAME_TEXT, "%s/%.2s/%s%s",
             n->kind == NAME_MAP ? "maps" : "packs", id, id, suffix);
}

void name_text(const struct name *n, char out[NAME_TEXT])
{
    char id[33], tag[33], prefix[64];

    bytes_hex(n->id.b, 16, id);
    bytes_hex(n->tag.b, 16, tag);
    switch (n->kind) {
    case NAME_FORMAT:
        snprintf(out, NAME_TEXT, "format");
        break;
    case NAME_KEY:
        snprintf(out, NAME_TEXT, "keys/%s/%s-%08x", id, tag, n->rand);
        break;
    case NAME_RECOVERY:
        snprintf(out, NAME_TEXT, "keys/recovery/%s-%08x", tag, n->rand);
        break;
    case NAME_PACK:
    case NAME_MAP:
        pack_text(n, out);
        break;
    case NAME_INDEX:
        stamp_text(n, "index/", out);
        break;
    case NAME_POINT:
        snprintf(prefix, sizeof(prefix), "points/%s/", id);
        stamp_text(n, prefix, out);
        break;
    case NAME_LIST:
        stamp_text(n, "gc/", out);
        break;
    }
}

void name_pack(enum name_kind kind, const struct id16 *pack_id,
               char out[NAME_TEXT])
{
    struct name n = {.kind = kind, .id = *pack_id};

    pack_text(&n, out);
}

void name_points_of(const struct id16 *vm_tag, char out[NAME_TEXT])
{
    char id[33];

    bytes_hex(vm_tag->b, 16, id);
    snprintf(out, NAME_TEXT, "points/%s/", id);
}

uint64_t name_time_after(uint64_t now_ms, uint64_t latest_ms)
{
    uint64_t now = now_ms / 1000, latest = latest_ms / 1000;

    return (now > latest ? now : latest + 1) * 1000;
}

enum err_code name_random(uint32_t *out, struct err *err)
{
    uint8_t raw[4];
    enum err_code rc = seal_key_random(raw, sizeof(raw), err);

    if (rc == ERR_OK)
        *out = bytes_get_u32(raw);
    return rc;
}
