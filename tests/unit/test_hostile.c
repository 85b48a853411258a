/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A store that alters, cuts, lengthens, swaps, replaces, hides and plants what
 * it holds (docs/format.md 8). Each row of the tables below is one way to do
 * it, tried on every object of the kind in a vault that sessions wrote: two
 * VMs, disks in pages and plain, chunks that both share, wraps for two people.
 *
 * After each: no restore gives a wrong byte; a full verification names as hurt
 * exactly the points that do not restore, finds what the row says it must, and
 * names the object; what need not be touched by it restores.
 *
 * Of objects of one kind the first has every row and the others a few in turn;
 * with CAIRN_HOSTILE=all in the environment all have all. With
 * CAIRN_HOSTILE_OUT the changed vaults are written there, and nothing is
 * checked.
 *
 * What a session itself must notice is proved elsewhere, by name:
 *  an old state, a point under another's name    test_session_commit
 *    (an_old_state_is_noticed, another_point_under_the_name_is_noticed)
 *  a planted key or wrap, another vault's key    test_vault_open, test_writer
 *  keys that lack a recovery recipient           test_session_commit
 *    (packs_without_a_recovery_wrap_are_not_used_again)
 *  a collection list that cannot be read         test_session_commit
 *  unknown suites, versions, kinds, fields       test_seal_*, test_point
 *  no key and nonce twice                        test_seal_seen
 */
#include "session_rig.h"

#include "hostile_out.h"
#include "vault_walk.h"

#include <ftw.h>
#include <sys/stat.h>

#include "vault/vault_grant.h"
#include "vault/verify.h"

#define POINTS 3
#define OBJECTS_MAX 64
#define CHUNK ((uint64_t)65536)
#define FOREIGN CAIRN_TEST_DATA "/museum/vault-0.1.0/vault/"
#define LIST "20250615T150701Z-00000001"

struct thing {
    char name[NAME_TEXT];
    uint8_t *data;
    size_t len;
    enum name_kind kind;
};

struct vm_point {
    const char *name;
    const uint8_t *disk;
    size_t len;
    struct point *point;
};

static struct rig rig;          /* writes it */
static struct vault_rig store;  /* has it, and is hostile */
static struct keyring *gateway; /* without DK */
static struct thing ours[OBJECTS_MAX], theirs[OBJECTS_MAX];
static size_t our_count, their_count;
static struct vm_point points[POINTS];
static uint8_t *contents[POINTS];
static unsigned trials;
static bool all;                /* see above */
static struct hostile_out *out; /* not NULL: write them down, and no more */

/* What the last look at the store found. */
static char found[16384];
static unsigned findings, structure_findings;
static bool hurt[POINTS], refused[POINTS];
static unsigned other_hurts; /* points that are none of ours */

/* --- the vault ----------------------------------------------------------- */

static void keep(struct thing *list, size_t *count, const char *name,
                 const uint8_t *data, size_t len)
{
    struct thing *t = &list[(*count)++];
    struct name n;

    assert_true(*count <= OBJECTS_MAX);
    snprintf(t->name, sizeof(t->name), "%s", name);
    t->data = malloc(len + 1);
    assert_non_null(t->data);
    memcpy(t->data, data, len);
    t->len = len;
    assert_true(name_parse(name, &n));
    t->kind = n.kind;
}

static void on_granted(void *ctx, const struct err *err)
{
    if (err->code != ERR_OK)
        fail_msg("%s", err->text);
    *(bool *)ctx = true;
}

static void grant(void)
{
    struct seal_key private = {{9}};
    uint8_t recipients[2][32];
    bool done = false;
    struct vault_grant_opts opts = {.store = rig.store,
                                    .keys = rig.keys,
                                    .recipients = recipients,
                                    .count = 2,
                                    .done = on_granted,
                                    .ctx = &done};
    struct err err;

    for (int i = 0; i < 2; i++) {
        struct seal_pair pair;

        private.b[1] = (uint8_t)i;
        assert_int_equal(seal_pair_from(&private, &pair, &err), ERR_OK);
        memcpy(recipients[i], pair.public, 32);
    }
    assert_int_equal(vault_grant_start(&opts, NULL, &err), ERR_OK);
    while (!done)
        rig_turn(&rig);
}

static void back_up(size_t i, const char *series, const uint8_t *data,
                    size_t len, bool pages)
{
    struct rig_backup b = {
        .disks = 1,
        .series = series,
        .page_above = pages ? 1 : 0,
        .disk = {{{.vdi = {{1}}, .bytes = len, .log2_chunk = 16}, data}}};

    rig_backup(&rig, &b);
    points[i].name = strdup(b.result.point.name);
    points[i].disk = data;
    points[i].len = len;
    points[i].point = rig_point(&rig, points[i].name);
}

static void make_contents(void)
{
    size_t len = 8 * CHUNK + 700;

    for (size_t i = 0; i < POINTS; i++)
        assert_non_null(contents[i] = calloc(1, len));
    for (size_t c = 0; c < 6; c++) {
        rig_fill_text(contents[0] + c * CHUNK, CHUNK, c);
        rig_fill_noise(contents[0] + c * CHUNK, 300, c);
    }
    rig_fill_noise(contents[0] + 8 * CHUNK, 700, 7); /* does not compress */
    memcpy(contents[1], contents[0], len);           /* changed in one chunk */
    rig_fill_text(contents[1] + 2 * CHUNK, CHUNK, 20);
    memcpy(contents[2], contents[0] + CHUNK, 2 * CHUNK); /* shared by both */
    rig_fill_text(contents[2] + 3 * CHUNK, CHUNK, 30);
}

static void make_vault(void)
{
    static const char other[] = "11111111-2222-4333-8444-555555555555";
    static const struct id16 nobodys = {{1, 2, 3}};
    char format[200], hex[33];

    make_contents();
    grant();
    back_up(0, RIG_SERIES, contents[0], 8 * CHUNK + 700, true);
    back_up(1, RIG_SERIES, contents[1], 8 * CHUNK + 700, true);
    back_up(2, other, contents[2], 5 * CHUNK, false);
    rig_condemn(&rig, LIST, nobodys, 2, 3);
    bytes_hex(keyring_vault_id(rig.keys)->b, 16, hex);
    snprintf(format, sizeof(format),
             "{\"format\":1,\"vault\":\"%s\",\"suite\":1,"
             "\"created\":\"2025-06-15T15:06:40Z\"}",
             hex);
    assert_true(
        store_fault_poke(rig.bucket, "format", format, strlen(format), 1000));
    for (size_t i = 0; i < store_fault_objects(rig.bucket); i++) {
        const char *name = store_fault_name(rig.bucket, i);
        struct slice o = rig_object(&rig, name);

        keep(ours, &our_count, name, o.data, o.len);
    }
}

static int on_file(const char *path, const struct stat *st, int type,
                   struct FTW *ftw)
{
    size_t len;
    uint8_t *data;

    (void)st;
    (void)ftw;
    if (type != FTW_F)
        return 0;
    data = vectors_file(path, &len);
    keep(theirs, &their_count, path + strlen(FOREIGN), data, len);
    free(data);
    return 0;
}

static void put(const char *name, const void *data, size_t len)
{
    store_fault_drop(store.bucket, name);
    assert_true(store_fault_poke(store.bucket, name, data, len, 1000));
}

/* As the sessions left it. */
static void put_back(void)
{
    while (store_fault_objects(store.bucket))
        store_fault_drop(store.bucket, store_fault_name(store.bucket, 0));
    for (size_t i = 0; i < our_count; i++)
        put(ours[i].name, ours[i].data, ours[i].len);
}

/* The key of the first recipient, and what the points hold. */
static void write_down_what_is_known(void)
{
    char text[2000], hex[65], sum[65];
    uint8_t sha256[32];
    size_t at = 0;

    bytes_hex(keyring_vault_id(rig.keys)->b, 16, hex);
    snprintf(text, sizeof(text), "cairn key 1\nvault %s\nprivate 09%062d\n",
             hex, 0);
    hostile_out_text(out, "key", text);
    for (size_t i = 0; i < POINTS; i++) {
        assert_true(seal_digest_once(rig.suite, SEAL_DIGEST_SHA256,
                                     points[i].disk, points[i].len, sha256));
        bytes_hex(sha256, 32, sum);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s\n",
                               points[i].name, sum);
    }
    hostile_out_text(out, "points", text);
}

static int set_up(void **state)
{
    (void)state;
    all = getenv("CAIRN_HOSTILE") != NULL;
    out = hostile_out_new();
    work_setup();
    rig_init(&rig);
    vault_rig_init(&store, false);
    gateway = vectors_keyring(rig.suite, false);
    make_vault();
    assert_int_equal(nftw(FOREIGN, on_file, 8, 0), 0);
    put_back();
    if (out)
        write_down_what_is_known();
    return 0;
}

static int tear_down(void **state)
{
    (void)state;
    print_message("%u changes of %zu objects\n", trials, our_count);
    hostile_out_free(out);
    for (size_t i = 0; i < our_count; i++)
        free(ours[i].data);
    for (size_t i = 0; i < their_count; i++)
        free(theirs[i].data);
    for (size_t i = 0; i < POINTS; i++) {
        free((void *)points[i].name);
        free(contents[i]);
        point_free(points[i].point);
    }
    keyring_unref(gateway);
    vault_rig_fini(&store);
    rig_fini(&rig);
    return 0;
}

/* --- a look at the store -------------------------------------------------- */

static void on_finding(void *ctx, const struct verify_finding *f)
{
    size_t len = strlen(found), i;

    findings++;
    snprintf(found + len, sizeof(found) - len, "%s: %s\n", f->object,
             f->err.text);
    for (i = 0; i < POINTS && strcmp(points[i].name, f->object) != 0; i++)
        ;
    if (f->hurts && i < POINTS)
        ((bool *)ctx)[i] = true;
    else
        other_hurts += f->hurts;
}

static void on_verified(void *ctx, const struct err *err,
                        const struct verify_figures *figures)
{
    (void)ctx;
    (void)figures;
    vault_rig_done(&store, err);
}

static void verify(const struct keyring *keys, bool full, bool hurts[POINTS])
{
    struct verify_opts opts = {.store = store.store,
                               .keys = keys,
                               .full = full,
                               .memory_bytes = VERIFY_MEMORY_MIN,
                               .on_finding = on_finding,
                               .done = on_verified,
                               .ctx = hurts};
    unsigned before = store.done;
    struct verify *v;

    findings = other_hurts = 0;
    found[0] = 0;
    memset(hurts, 0, POINTS * sizeof(*hurts));
    if (verify_start(&opts, &v, &store.err) == ERR_OK)
        vault_rig_wait(&store, before + 1);
    if (store.err.code != ERR_OK)
        fail_msg("%s", store.err.text);
}

/* Whether a point restores; what comes out is right in any case. */
static bool restores(const struct vm_point *p)
{
    struct vault_walk w = {.rig = &store};
    struct point *point = vault_walk_point(&store, rig.keys, p->name);
    enum err_code rc = store.err.code;
    uint8_t sha256[32];

    if (point)
        rc = vault_walk_all(&w, rig.keys, point, p->name, 0);
    point_free(point);
    if (rc == ERR_OK) {
        assert_true(seal_digest_once(rig.suite, SEAL_DIGEST_SHA256, p->disk,
                                     p->len, sha256));
        assert_int_equal(w.at, p->len);
        assert_memory_equal(w.sha256, sha256, 32);
        return true;
    }
    if (rc != ERR_INTEGRITY && rc != ERR_NOT_FOUND && rc != ERR_KEY &&
        rc != ERR_PROTOCOL)
        fail_msg("%s: %s", err_name(rc), point ? w.err.text : store.err.text);
    return false;
}

enum must {
    FOUND = 1,    /* a full verification finds it, and names the object */
    SEALED = 2,   /* one without data keys does too */
    HURTS = 4,    /* all points that need the object are refused */
    HARMLESS = 8, /* all restore */
    WRAP = 16,    /* points count as hurt, whose key nobody can unwrap */
};

static bool needs(const struct vm_point *p, const struct thing *t)
{
    struct name n;

    if (t->kind == NAME_POINT)
        return strcmp(p->name, t->name) == 0;
    if (t->kind != NAME_PACK && t->kind != NAME_MAP)
        return false;
    assert_true(name_parse(t->name, &n));
    for (size_t i = 0; i < p->point->packs; i++)
        if (id16_equal(&p->point->pack[i].id, &n.id))
            return true;
    return false;
}

static bool is_read(const struct thing *t)
{
    return t->kind == NAME_PACK || t->kind == NAME_MAP || t->kind == NAME_POINT;
}

/* Whether it is the first of its kind. */
static bool is_first(size_t i)
{
    return i == 0 || ours[i].kind != ours[i - 1].kind;
}

/* Whether the n-th thing is done to the i-th object. */
static bool is_due(size_t i, size_t n)
{
    return all || is_first(i) || (n + i) % 6 == 0;
}

/* A pack that is nowhere is named by its id alone. */
static bool is_named(const struct thing *t)
{
    const char *slash = strrchr(t->name, '/');

    return strstr(found, slash ? slash + 1 : t->name) != NULL;
}

/* Look, and compare with what may and must be. `b`: a second object. */
static void check(const char *why, const struct thing *t, const struct thing *b,
                  unsigned must)
{
    /* Of anything else a restore of a known point reads nothing. */
    bool walks = all || is_read(t) || (b && is_read(b)) || !trials;
    bool structure[POINTS];

    trials++;
    if (out) {
        char text[300];

        snprintf(text, sizeof(text), "%s: %s%s%s", why, t->name, b ? ", " : "",
                 b ? b->name : "");
        hostile_out_vault(out, store.bucket, text);
        put_back();
        return;
    }
    if (must & SEALED)
        verify(gateway, false, structure);
    structure_findings = findings;
    verify(rig.keys, true, hurt);
    for (size_t i = 0; i < POINTS; i++) {
        bool may = needs(&points[i], t) || (b && needs(&points[i], b));

        refused[i] = walks && !restores(&points[i]);
        if (refused[i] && (!may || must & HARMLESS))
            fail_msg("%s: %s: %s does not restore: %s", why, t->name,
                     points[i].name, found);
        if (!refused[i] && may && must & HURTS)
            fail_msg("%s: %s: %s restores all the same", why, t->name,
                     points[i].name);
        if (refused[i] && must & FOUND && !hurt[i])
            fail_msg("%s: %s: %s is hurt, and nobody says so: %s", why, t->name,
                     points[i].name, found);
        if (!refused[i] && hurt[i] && !(must & WRAP))
            fail_msg("%s: %s: %s is not hurt: %s", why, t->name, points[i].name,
                     found);
    }
    if (!findings != !(must & FOUND))
        fail_msg("%s: %s: found: %s", why, t->name, found);
    if (findings && !is_named(t) && !(b && is_named(b)))
        fail_msg("%s: %s is not named: %s", why, t->name, found);
    if (must & SEALED && !structure_findings)
        fail_msg("%s: %s: not found without data keys", why, t->name);
    put_back();
}

static void nothing_is_wrong_at_first(void **state)
{
    static const struct thing none = {.name = "none", .kind = NAME_LIST};

    (void)state;
    check("as it was", &none, NULL, HARMLESS);
    assert_true(our_count >= 16 && their_count >= 16);
}

/* --- single bytes --------------------------------------------------------- */

enum base { BEGIN, TOC, TAIL, END };

struct byte_class {
    const char *why;
    enum base base;
    int at;
    unsigned must;
};

#define GONE (FOUND | SEALED | HURTS)
#define SEEN (FOUND | SEALED | HARMLESS)

/* Of packs and maps; what the name or a key proves is wrong without data keys
 * too, since tables and digests are under MK. */
static const struct byte_class pack_bytes[] = {
    {"header: magic", BEGIN, 0, GONE},
    {"header: version", BEGIN, 8, GONE},
    {"header: suite", BEGIN, 9, GONE},
    {"header: kind", BEGIN, 10, GONE},
    {"header: key id", BEGIN, 12, GONE},
    {"header: pack id", BEGIN, 43, GONE},
    {"header: salt", BEGIN, 44, GONE},
    {"header: commitment", BEGIN, 60, GONE},
    {"header: CRC", BEGIN, 95, GONE},
    {"slot 0: ciphertext", BEGIN, 96, FOUND | SEALED},
    {"slot 0: further in", BEGIN, 120, FOUND | SEALED},
    {"padding", TOC, -1, SEEN},
    {"toc: magic", TOC, 0, GONE},
    {"toc: version", TOC, 8, GONE},
    {"toc: suite", TOC, 9, GONE},
    {"toc: kind", TOC, 10, GONE},
    {"toc: zero", TOC, 15, GONE},
    {"toc: key id", TOC, 16, GONE},
    {"toc: salt", TOC, 32, GONE},
    {"toc: commitment", TOC, 48, GONE},
    {"toc: digest, sealed", TOC, 80, GONE},
    {"toc: slot count, sealed", TOC, 112, GONE},
    {"toc: first chunk id, sealed", TOC, 120, GONE},
    {"toc: tag", TAIL, -1, GONE},
    {"tail: toc offset", TAIL, 0, GONE},
    {"tail: toc length", TAIL, 8, GONE},
    {"tail: slot count", TAIL, 12, GONE},
    {"tail: digest", TAIL, 16, GONE},
    {"tail: magic", TAIL, 48, GONE},
    {"tail: CRC", TAIL, 56, GONE},
    {"tail: zero", TAIL, 63, GONE},
};

/* Of points, lists and index runs. */
static const struct byte_class stream_bytes[] = {
    {"magic", BEGIN, 0, FOUND | SEALED},
    {"version", BEGIN, 8, FOUND | SEALED},
    {"suite", BEGIN, 9, FOUND | SEALED},
    {"kind", BEGIN, 10, FOUND | SEALED},
    {"zero", BEGIN, 12, FOUND | SEALED},
    {"key id", BEGIN, 16, FOUND | SEALED},
    {"salt", BEGIN, 32, FOUND | SEALED},
    {"commitment", BEGIN, 48, FOUND | SEALED},
    {"ciphertext", BEGIN, 80, FOUND | SEALED},
    {"last of the ciphertext", END, -17, FOUND | SEALED},
    {"tag", END, -1, FOUND | SEALED},
};

/* Of wraps: what is sealed in them only their recipient can tell. */
static const struct byte_class wrap_bytes[] = {
    {"magic", BEGIN, 0, SEEN | WRAP},    {"version", BEGIN, 8, SEEN | WRAP},
    {"suite", BEGIN, 9, SEEN | WRAP},    {"method", BEGIN, 10, SEEN | WRAP},
    {"log2 N", BEGIN, 11, SEEN | WRAP},  {"what", BEGIN, 12, SEEN | WRAP},
    {"zero", BEGIN, 15, SEEN | WRAP},    {"key id", BEGIN, 16, SEEN | WRAP},
    {"salt", BEGIN, 32, HARMLESS},       {"ephemeral key", BEGIN, 48, HARMLESS},
    {"commitment", BEGIN, 80, HARMLESS}, {"box", BEGIN, 112, HARMLESS},
    {"tag", BEGIN, 159, HARMLESS},
};

static size_t place_of(const struct thing *t, const struct byte_class *c)
{
    uint64_t base[] = {0, 0, t->len - PACK_LAYOUT_TAIL, t->len};

    if (c->base == TOC)
        base[TOC] = bytes_get_u64(t->data + base[TAIL]);
    return (size_t)((int64_t)base[c->base] + c->at);
}

static void flip_each(size_t object, const struct byte_class *rows,
                      size_t count)
{
    const struct thing *t = &ours[object];

    for (size_t i = 0; i < count; i++) {
        size_t at = place_of(t, &rows[i]);

        if (!is_due(object, i))
            continue;
        assert_true(store_fault_damage(store.bucket, t->name, at, 0x40));
        check(rows[i].why, t, NULL, rows[i].must);
    }
}

static void every_byte_of_every_kind_counts(void **state)
{
    (void)state;
    for (size_t i = 0; i < our_count; i++) {
        const struct thing *t = &ours[i];

        if (t->kind == NAME_PACK || t->kind == NAME_MAP)
            flip_each(i, pack_bytes, BYTES_COUNT(pack_bytes));
        else if (t->kind == NAME_KEY)
            flip_each(i, wrap_bytes, BYTES_COUNT(wrap_bytes));
        else if (t->kind == NAME_POINT || t->kind == NAME_LIST ||
                 t->kind == NAME_INDEX)
            flip_each(i, stream_bytes, BYTES_COUNT(stream_bytes));
    }
}

/* Suite, version, kind and ids with a checksum that fits: who alters them can
 * compute it. */
static void downgrades_with_a_right_checksum_are_refused(void **state)
{
    static const int header[] = {8, 9, 10, 12, 28, 44, 60};
    static const int tail[] = {0, 8, 12, 16};

    (void)state;
    for (size_t i = 0; i < our_count; i++) {
        struct thing *t = &ours[i];
        uint8_t *copy = malloc(t->len), *end = copy + t->len - 64;

        assert_non_null(copy);
        for (size_t k = 0; k < BYTES_COUNT(header) + BYTES_COUNT(tail); k++) {
            bool head = k < BYTES_COUNT(header);

            if ((t->kind != NAME_PACK && t->kind != NAME_MAP) || !is_due(i, k))
                continue;
            memcpy(copy, t->data, t->len);
            if (head)
                copy[header[k]] ^= 1;
            else
                end[tail[k - BYTES_COUNT(header)]] ^= 1;
            bytes_put_u32(copy + 92, seal_digest_crc32c(0, copy, 92));
            bytes_put_u32(end + 56, seal_digest_crc32c(0, end, 56));
            put(t->name, copy, t->len);
            check(head ? "header, its CRC right" : "tail, its CRC right", t,
                  NULL, GONE);
        }
        free(copy);
    }
}

/* --- lengths, places, absence ----------------------------------------------*/

/* What becomes of an object that nothing can be read of. */
static unsigned when_spoilt(const struct thing *t)
{
    switch (t->kind) {
    case NAME_PACK:
    case NAME_MAP:
    case NAME_POINT:
        return GONE;
    case NAME_KEY:
        return SEEN | WRAP;
    default:
        return SEEN;
    }
}

static void what_is_cut_or_lengthened_is_refused(void **state)
{
    static const int by[] = {-1, -16, -64, 1, 16, 64, 65536};

    (void)state;
    for (size_t i = 0; i < our_count; i++) {
        const struct thing *t = &ours[i];
        uint8_t *longer = calloc(1, t->len + 65536);

        assert_non_null(longer);
        memcpy(longer, t->data, t->len);
        for (size_t k = 0; k < BYTES_COUNT(by); k++) {
            if (!is_due(i, k))
                continue;
            put(t->name, longer, (size_t)((int64_t)t->len + by[k]));
            check("another length", t, NULL, when_spoilt(t));
        }
        put(t->name, longer, is_first(i) ? 0 : t->len / 2);
        check("emptied or halved", t, NULL, when_spoilt(t));
        free(longer);
    }
}

/* Each object in the place of each other one: of the same kind and not, of the
 * same VM and another's. */
static void what_is_swapped_is_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < our_count; i++)
        for (size_t k = i + 1; k < our_count; k++) {
            const struct thing *a = &ours[i], *b = &ours[k];
            unsigned must = FOUND | SEALED | HURTS;

            if (!all && !(k == i + 1 || (is_first(i) && is_first(k))))
                continue;
            /* Two wraps of one key: each opens for the other's recipient only,
             * which nobody else can tell. */
            if (a->kind == NAME_KEY && b->kind == NAME_KEY &&
                memcmp(a->data + 16, b->data + 16, 16) == 0)
                must = 0;
            if (a->kind == NAME_KEY || b->kind == NAME_KEY)
                must |= WRAP;
            put(a->name, b->data, b->len);
            put(b->name, a->data, a->len);
            check("swapped", a, b, must);
        }
}

static void slots_that_change_places_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < our_count; i++) {
        const struct thing *t = &ours[i];
        struct pack_table table = {0};
        struct slice o = {t->data, t->len};
        uint8_t *copy;
        struct err err;

        if (t->kind != NAME_PACK)
            continue;
        assert_int_equal(pack_table_open(&table, rig.keys, t->name, o, &err),
                         ERR_OK);
        copy = malloc(t->len);
        assert_non_null(copy);
        for (uint32_t s = 1; s < table.slots && is_due(i, s); s++) {
            uint64_t n = table.slot[s].stored;

            if (table.slot[s - 1].stored < n)
                n = table.slot[s - 1].stored;
            memcpy(copy, t->data, t->len);
            memcpy(copy + table.offset[s - 1], t->data + table.offset[s], n);
            memcpy(copy + table.offset[s], t->data + table.offset[s - 1], n);
            put(t->name, copy, t->len);
            check("slots swapped", t, NULL, FOUND | SEALED);
            memcpy(copy, t->data, t->len);
            memcpy(copy + table.offset[s], t->data + table.offset[s - 1], n);
            put(t->name, copy, t->len);
            check("a slot repeated", t, NULL, FOUND | SEALED);
        }
        pack_table_fini(&table);
        free(copy);
    }
}

static void what_is_gone_is_missed(void **state)
{
    (void)state;
    for (size_t i = 0; i < our_count; i++) {
        const struct thing *t = &ours[i];
        unsigned must = HARMLESS; /* caches and hints */

        if (t->kind == NAME_PACK || t->kind == NAME_MAP)
            must = FOUND | SEALED | HURTS;
        else if (t->kind == NAME_POINT) /* a later point remembers the first
                        alone; of the last the gateway's witness knows */
            must =
                HURTS | (strcmp(t->name, points[0].name) ? 0 : FOUND | SEALED);
        assert_true(store_fault_drop(store.bucket, t->name));
        check("gone", t, NULL, must);
    }
}

/* --- what is planted ------------------------------------------------------ */

static void what_is_of_another_tenant_replaces_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < our_count; i++)
        for (size_t k = 0; k < their_count; k++) {
            const struct thing *t = &ours[i];

            if (theirs[k].kind != t->kind || !is_due(i, k))
                continue;
            put(t->name, theirs[k].data, theirs[k].len);
            check("another tenant's in its place", t, NULL, when_spoilt(t));
        }
}

static void what_is_planted_hurts_nobody(void **state)
{
    (void)state;
    for (size_t k = 0; k < their_count; k++) {
        const struct thing *t = &theirs[k];
        unsigned must = FOUND | SEALED | HARMLESS;

        if (t->kind == NAME_FORMAT)
            continue; /* ours is there */
        if (t->kind == NAME_KEY || t->kind == NAME_RECOVERY)
            must = HARMLESS; /* a recipient is no news to anybody */
        put(t->name, t->data, t->len);
        check("another tenant's under its own name", t, NULL, must);
    }
    for (size_t i = 0; i < our_count; i++) {
        struct thing t = ours[i];
        struct name n;

        assert_true(name_parse(t.name, &n));
        if (t.kind == NAME_PACK || t.kind == NAME_MAP)
            n.id.b[15] ^= 1;
        else if (t.kind == NAME_POINT)
            n.id.b[0] ^= 1; /* another VM's */
        else if (t.kind == NAME_LIST || t.kind == NAME_INDEX)
            n.rand ^= 1;
        else
            continue;
        name_text(&n, t.name);
        put(t.name, t.data, t.len);
        check("a copy under another name", &t, NULL, SEEN);
        if (t.kind != NAME_POINT)
            continue;
        assert_true(name_parse(ours[i].name, &n));
        n.time_ms += 86400000; /* an old point as the newest */
        name_text(&n, t.name);
        put(t.name, t.data, t.len);
        check("a copy at another time", &t, NULL, SEEN);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_wrong_at_first),
        cmocka_unit_test(every_byte_of_every_kind_counts),
        cmocka_unit_test(downgrades_with_a_right_checksum_are_refused),
        cmocka_unit_test(what_is_cut_or_lengthened_is_refused),
        cmocka_unit_test(what_is_swapped_is_refused),
        cmocka_unit_test(slots_that_change_places_are_refused),
        cmocka_unit_test(what_is_gone_is_missed),
        cmocka_unit_test(what_is_of_another_tenant_replaces_nothing),
        cmocka_unit_test(what_is_planted_hurts_nobody),
    };

    return cmocka_run_group_tests(tests, set_up, tear_down);
}
