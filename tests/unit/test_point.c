/* SPDX-License-Identifier: Apache-2.0 */
#include "vectors_keys.h"

#include "vault/point.h"

static struct seal_suite *suite;
static struct keyring *keys;

static void equal_text(struct slice got, const struct json *fields,
                       const char *key)
{
    const char *want = vectors_text(fields, key);

    assert_int_equal(got.len, strlen(want));
    assert_memory_equal(got.data, want, got.len);
}

static void equal_names(struct slice got, const struct json *want)
{
    char name[NAME_POINT_BYTES + 1];

    assert_int_equal(got.len, json_count(want) * NAME_POINT_BYTES);
    for (size_t i = 0; i < json_count(want); i++) {
        point_name_at(got, i, name);
        assert_string_equal(name, json_text(json_at(want, i), ""));
        assert_true(point_names_have(got, name));
    }
    assert_false(point_names_have(got, "points/x"));
}

static void equal_disk(const struct point_disk *d, const struct json *want)
{
    const struct json *pages = vectors_get(want, "pages");
    const struct json *name = vectors_get(want, "name");

    assert_int_equal(d->position, vectors_int(want, "position"));
    vectors_equal(want, "vdi", d->vdi.b, 16);
    assert_int_equal(d->bytes, vectors_int(want, "size"));
    assert_int_equal(d->log2_chunk, vectors_int(want, "log2"));
    vectors_equal(want, "sum", d->sum, 32);
    assert_int_equal(d->paged, json_kind(pages) != JSON_NULL);
    vectors_equal(want, d->paged ? "pages" : "map", d->map.data, d->map.len);
    if (json_kind(name) == JSON_NULL)
        assert_int_equal(d->name.len, 0);
    else
        equal_text(d->name, want, "name");
}

static void equal_tables(const struct point *p, const struct json *f)
{
    const struct json *k = vectors_get(f, "keys");
    const struct json *packs = vectors_get(f, "packs");
    char hex[33];

    assert_int_equal(p->keys, json_count(k));
    for (size_t i = 0; i < p->keys; i++) {
        bytes_hex(p->key[i].b, 16, hex);
        assert_string_equal(hex, json_text(json_at(k, i), ""));
    }
    assert_int_equal(p->packs, json_count(packs));
    for (size_t i = 0; i < p->packs; i++) {
        const struct json *row = json_at(packs, i);

        bytes_hex(p->pack[i].id.b, 16, hex);
        assert_string_equal(hex, json_text(json_at(row, 0), ""));
        assert_int_equal(p->pack[i].key, json_int(json_at(row, 1), -1));
        assert_int_equal(p->pack[i].kind, json_int(json_at(row, 2), -1));
    }
}

static void equal_point(const struct point *p, const struct json *f)
{
    const struct json *totals = vectors_get(f, "totals");
    const struct json *disks = vectors_get(f, "disks");

    equal_text(p->series, f, "series");
    vectors_equal(f, "vm", p->vm.b, 16);
    assert_int_equal(p->start_ms, vectors_int(f, "start"));
    assert_int_equal(p->end_ms, vectors_int(f, "end"));
    equal_text(p->name, f, "label");
    equal_text(p->pool, f, "pool");
    equal_text(p->source_mode, f, "source");
    equal_text(p->consistency, f, "consistency");
    equal_text(p->gateway, f, "gateway");
    equal_text(p->retention, f, "retention");
    vectors_equal(f, "metadata", p->metadata.data, p->metadata.len);
    assert_string_equal(p->previous.name,
                        json_text(json_at(vectors_get(f, "previous"), 0), ""));
    equal_names(p->roster, vectors_get(f, "roster"));
    equal_names(p->replaces, vectors_get(f, "replaces"));
    assert_int_equal(p->unfinished,
                     json_bool(vectors_get(f, "unfinished"), true));
    assert_true(p->has_totals);
    assert_int_equal(p->totals.read, json_int(json_at(totals, 0), -1));
    assert_int_equal(p->totals.changed, json_int(json_at(totals, 1), -1));
    assert_int_equal(p->totals.fresh, json_int(json_at(totals, 2), -1));
    assert_int_equal(p->totals.stored, json_int(json_at(totals, 3), -1));
    equal_tables(p, f);
    assert_int_equal(p->disks, json_count(disks));
    for (size_t i = 0; i < p->disks; i++)
        equal_disk(&p->disk[i], json_at(disks, i));
}

static void the_point_of_the_vectors_opens(void **state)
{
    struct json *doc = vectors_load("point.json");
    const struct json *f = vectors_get(doc, "fields");
    const char *name = vectors_text(f, "name");
    struct point *p = NULL;
    struct err err = {0};
    struct buf xml;
    size_t len;
    uint8_t *object = vectors_base64(doc, "object_base64", &len);

    (void)state;
    if (point_open(keys, name, object, len, &p, &err) != ERR_OK)
        fail_msg("%s", err.text);
    equal_point(p, f);
    buf_init(&xml, 1000);
    assert_int_equal(point_metadata(keys, name, p, &xml, &err), ERR_OK);
    vectors_equal(doc, "vm_metadata", xml.data, xml.len);
    buf_fini(&xml);
    point_free(p);
    free(object);
    json_free(doc);
}

static void encoding_gives_the_bytes_of_the_vectors(void **state)
{
    struct json *doc = vectors_load("point.json");
    struct point *p = NULL;
    struct err err = {0};
    struct slice plain;
    struct buf b;
    uint8_t *data = vectors_bytes(doc, "plaintext", &plain.len);

    (void)state;
    plain.data = data;
    if (point_decode(plain, &p, &err) != ERR_OK)
        fail_msg("%s", err.text);
    equal_point(p, vectors_get(doc, "fields"));
    buf_init(&b, 10000);
    assert_int_equal(point_encode(p, &b, &err), ERR_OK);
    assert_int_equal(b.len, plain.len);
    assert_memory_equal(b.data, plain.data, b.len);
    buf_fini(&b);
    point_free(p);
    free(data);
    json_free(doc);
}

static void a_sealed_point_opens_under_its_own_name_only(void **state)
{
    struct json *doc = vectors_load("point.json");
    const char *name = vectors_text(vectors_get(doc, "fields"), "name");
    static const char xml[] = "<value/>";
    struct point *p = NULL, *again = NULL;
    struct err err = {0};
    struct slice plain;
    struct buf b, meta;
    uint8_t *data = vectors_bytes(doc, "plaintext", &plain.len);
    char other[NAME_TEXT];

    (void)state;
    plain.data = data;
    assert_int_equal(point_decode(plain, &p, &err), ERR_OK);
    buf_init(&b, 100000);
    assert_int_equal(point_seal(keys, name, p,
                                (struct slice){(const uint8_t *)xml, 8}, &b,
                                &err),
                     ERR_OK);
    assert_int_equal(point_open(keys, name, b.data, b.len, &again, &err),
                     ERR_OK);
    assert_int_equal(again->disks, p->disks);
    buf_init(&meta, 100);
    assert_int_equal(point_metadata(keys, name, again, &meta, &err), ERR_OK);
    assert_int_equal(meta.len, 8);
    assert_memory_equal(meta.data, xml, 8);
    buf_fini(&meta);
    point_free(again);
    again = NULL;
    snprintf(other, sizeof(other), "%s", name);
    other[strlen(other) - 1] ^= 1;
    assert_int_equal(point_open(keys, other, b.data, b.len, &again, &err),
                     ERR_INTEGRITY);
    assert_null(again);
    buf_fini(&b);
    point_free(p);
    free(data);
    json_free(doc);
}

/* Every field that must be there is missed, and every cut is noticed. */
static void a_point_that_lacks_anything_is_refused(void **state)
{
    struct json *doc = vectors_load("point.json");
    struct slice plain;
    uint8_t *data = vectors_bytes(doc, "plaintext", &plain.len);
    uint8_t *less = malloc(plain.len);
    size_t at = 0, critical = 0;
    struct point *p = NULL;
    struct err err;

    (void)state;
    plain.data = data;
    for (size_t cut = 1; cut < plain.len; cut++) {
        struct slice s = {data, plain.len - cut};

        if (point_decode(s, &p, &err) == ERR_OK) {
            /* only where a whole disk fell away */
            assert_true(p->disks < 2);
            point_free(p);
            p = NULL;
        }
    }
    while (at < plain.len) {
        size_t len = 8 + bytes_get_u32(data + at + 4);
        uint16_t type = bytes_get_u16(data + at);
        struct slice s = {less, plain.len - len};
        enum err_code rc;

        memcpy(less, data, at);
        memcpy(less + at, data + at + len, plain.len - at - len);
        rc = point_decode(s, &p, &err);
        if (bytes_get_u16(data + at + 2) && type != 22) {
            critical++;
            if (rc != ERR_INTEGRITY)
                fail_msg("field %u left out: taken", type);
        } else {
            assert_int_equal(rc, ERR_OK);
            point_free(p);
            p = NULL;
        }
        at += len;
    }
    assert_int_equal(critical, 5); /* 1, 5, 15, 20, 21 */
    free(less);
    free(data);
    json_free(doc);
}

/* One change to the vector's fields each, which the rules of section 5 or 7
 * forbid. */

static void log2_15(struct point *p, struct point_disk *d, struct point_pack *k)
{
    (void)p, (void)k;
    d[0].log2_chunk = 15;
}
static void log2_21(struct point *p, struct point_disk *d, struct point_pack *k)
{
    (void)p, (void)k;
    d[0].log2_chunk = 21;
}
static void larger_disk(struct point *p, struct point_disk *d,
                        struct point_pack *k)
{
    (void)p, (void)k;
    d[0].bytes++;
}
static void huge_disk(struct point *p, struct point_disk *d,
                      struct point_pack *k)
{
    (void)p, (void)k;
    d[0].bytes = UINT64_MAX;
}
static void positions_equal(struct point *p, struct point_disk *d,
                            struct point_pack *k)
{
    (void)p, (void)k;
    d[0].position = d[1].position;
}
static void data_in_a_map_pack(struct point *p, struct point_disk *d,
                               struct point_pack *k)
{
    (void)p, (void)d;
    k[0].kind = 1;
}
static void unknown_kind(struct point *p, struct point_disk *d,
                         struct point_pack *k)
{
    (void)p, (void)d;
    k[1].kind = 2;
}
static void no_such_key(struct point *p, struct point_disk *d,
                        struct point_pack *k)
{
    (void)p, (void)d;
    k[1].key = 2;
}
static void pack_twice(struct point *p, struct point_disk *d,
                       struct point_pack *k)
{
    (void)p, (void)d;
    k[1].id = k[0].id;
}
static void no_series(struct point *p, struct point_disk *d,
                      struct point_pack *k)
{
    (void)d, (void)k;
    p->series.len = 0;
}
static void not_utf8(struct point *p, struct point_disk *d,
                     struct point_pack *k)
{
    (void)d, (void)k;
    p->name = (struct slice){(const uint8_t *)"\xc0\x80", 2};
}
static void half_a_name(struct point *p, struct point_disk *d,
                        struct point_pack *k)
{
    (void)d, (void)k;
    p->roster.len--;
}
static void fewer_packs(struct point *p, struct point_disk *d,
                        struct point_pack *k)
{
    (void)d, (void)k;
    p->packs = 0;
}

static void (*const spoilers[])(struct point *, struct point_disk *,
                                struct point_pack *) = {
    log2_15,      log2_21,         larger_disk,
    huge_disk,    positions_equal, data_in_a_map_pack,
    unknown_kind, no_such_key,     pack_twice,
    no_series,    not_utf8,        half_a_name,
    fewer_packs,
};

static void what_the_rules_forbid_is_not_written(void **state)
{
    struct json *doc = vectors_load("point.json");
    struct point *p = NULL;
    struct err err = {0};
    struct slice plain;
    struct buf b;
    uint8_t *data = vectors_bytes(doc, "plaintext", &plain.len);

    (void)state;
    plain.data = data;
    assert_int_equal(point_decode(plain, &p, &err), ERR_OK);
    buf_init(&b, 10000);
    for (size_t i = 0; i < BYTES_COUNT(spoilers); i++) {
        struct point bad = *p;
        struct point_disk disks[2] = {p->disk[0], p->disk[1]};
        struct point_pack packs[2] = {p->pack[0], p->pack[1]};

        bad.disk = disks;
        bad.pack = packs;
        spoilers[i](&bad, disks, packs);
        if (point_encode(&bad, &b, &err) != ERR_ARGUMENT)
            fail_msg("spoiler %zu was written", i);
        assert_int_equal(b.len, 0);
    }
    buf_fini(&b);
    point_free(p);
    free(data);
    json_free(doc);
}

static void the_last_chunk_ends_with_the_disk(void **state)
{
    struct point_disk d = {.bytes = 3 * 65536 + 512, .log2_chunk = 16};

    (void)state;
    assert_int_equal(map_chunks(d.bytes, 16), 4);
    assert_int_equal(point_chunk_bytes(&d, 0), 65536);
    assert_int_equal(point_chunk_bytes(&d, 2), 65536);
    assert_int_equal(point_chunk_bytes(&d, 3), 512);
    d.bytes -= 512;
    assert_int_equal(map_chunks(d.bytes, 16), 3);
    assert_int_equal(point_chunk_bytes(&d, 2), 65536);
}

static int begin(void **state)
{
    struct err err;

    (void)state;
    if (seal_suite_new(&suite, &err) != ERR_OK)
        return -1;
    keys = vectors_keyring(suite, true);
    return 0;
}

static int end(void **state)
{
    (void)state;
    keyring_unref(keys);
    seal_suite_free(suite);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_point_of_the_vectors_opens),
        cmocka_unit_test(encoding_gives_the_bytes_of_the_vectors),
        cmocka_unit_test(a_sealed_point_opens_under_its_own_name_only),
        cmocka_unit_test(a_point_that_lacks_anything_is_refused),
        cmocka_unit_test(what_the_rules_forbid_is_not_written),
        cmocka_unit_test(the_last_chunk_ends_with_the_disk),
    };

    return cmocka_run_group_tests(tests, begin, end);
}
