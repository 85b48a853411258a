/* SPDX-License-Identifier: Apache-2.0 */
#include "hostile_rig.h"

#include "hostile_out.h"
#include "vault_walk.h"

#include <ftw.h>
#include <sys/stat.h>

#include "vault/vault_grant.h"
#include "vault/verify.h"

#define CHUNK ((uint64_t)65536)
#define FOREIGN CAIRN_TEST_DATA "/museum/vault-0.1.0/vault/"
#define LIST "20250615T150701Z-00000001"

struct hostile_rig hostile_rig;

static struct rig rig;          /* writes it */
static struct vault_rig store;  /* has it, and is hostile */
static struct keyring *gateway; /* without DK */
static uint8_t *contents[HOSTILE_RIG_POINTS];
static unsigned trials;
static struct hostile_out *out; /* not NULL: write them down, and no more */

/* What the last look at the store found. */
static char found[16384];
static unsigned findings, structure_findings;
static bool hurt[HOSTILE_RIG_POINTS], refused[HOSTILE_RIG_POINTS];
static unsigned other_hurts; /* points that are none of ours */

/* --- the vault ----------------------------------------------------------- */

static void keep(struct hostile_rig_thing *list, size_t *count,
                 const char *name, const uint8_t *data, size_t len)
{
    struct hostile_rig_thing *t = &list[(*count)++];
    struct name n;

    assert_true(*count <= HOSTILE_RIG_OBJECTS);
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
    hostile_rig.points[i].name = strdup(b.result.point.name);
    hostile_rig.points[i].disk = data;
    hostile_rig.points[i].len = len;
    hostile_rig.points[i].point = rig_point(&rig, hostile_rig.points[i].name);
}

static void make_contents(void)
{
    size_t len = 8 * CHUNK + 700;

    for (size_t i = 0; i < HOSTILE_RIG_POINTS; i++)
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

        keep(hostile_rig.ours, &hostile_rig.our_count, name, o.data, o.len);
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
    keep(hostile_rig.theirs, &hostile_rig.their_count, path + strlen(FOREIGN),
         data, len);
    free(data);
    return 0;
}

void hostile_rig_put(const char *name, const void *data, size_t len)
{
    store_fault_drop(store.bucket, name);
    assert_true(store_fault_poke(store.bucket, name, data, len, 1000));
}

/* As the sessions left it. */
static void put_back(void)
{
    while (store_fault_objects(store.bucket))
        store_fault_drop(store.bucket, store_fault_name(store.bucket, 0));
    for (size_t i = 0; i < hostile_rig.our_count; i++)
        hostile_rig_put(hostile_rig.ours[i].name, hostile_rig.ours[i].data,
                        hostile_rig.ours[i].len);
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
    for (size_t i = 0; i < HOSTILE_RIG_POINTS; i++) {
        assert_true(seal_digest_once(rig.suite, SEAL_DIGEST_SHA256,
                                     hostile_rig.points[i].disk,
                                     hostile_rig.points[i].len, sha256));
        bytes_hex(sha256, 32, sum);
        at += (size_t)snprintf(text + at, sizeof(text) - at, "%s %s\n",
                               hostile_rig.points[i].name, sum);
    }
    hostile_out_text(out, "points", text);
}

int hostile_rig_set_up(void **state)
{
    (void)state;
    hostile_rig.all = getenv("CAIRN_HOSTILE") != NULL;
    out = hostile_out_new();
    work_setup();
    rig_init(&rig);
    vault_rig_init(&store, false);
    gateway = vectors_keyring(rig.suite, false);
    make_vault();
    hostile_rig.keys = rig.keys;
    hostile_rig.bucket = store.bucket;
    assert_int_equal(nftw(FOREIGN, on_file, 8, 0), 0);
    put_back();
    if (out)
        write_down_what_is_known();
    return 0;
}

int hostile_rig_tear_down(void **state)
{
    (void)state;
    print_message("%u changes of %zu objects\n", trials, hostile_rig.our_count);
    hostile_out_free(out);
    for (size_t i = 0; i < hostile_rig.our_count; i++)
        free(hostile_rig.ours[i].data);
    for (size_t i = 0; i < hostile_rig.their_count; i++)
        free(hostile_rig.theirs[i].data);
    for (size_t i = 0; i < HOSTILE_RIG_POINTS; i++) {
        free((void *)hostile_rig.points[i].name);
        free(contents[i]);
        point_free(hostile_rig.points[i].point);
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
    for (i = 0; i < HOSTILE_RIG_POINTS &&
                strcmp(hostile_rig.points[i].name, f->object) != 0;
         i++)
        ;
    if (f->hurts && i < HOSTILE_RIG_POINTS)
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

static void verify(const struct keyring *keys, bool full,
                   bool hurts[HOSTILE_RIG_POINTS])
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
    memset(hurts, 0, HOSTILE_RIG_POINTS * sizeof(*hurts));
    if (verify_start(&opts, &v, &store.err) == ERR_OK)
        vault_rig_wait(&store, before + 1);
    if (store.err.code != ERR_OK)
        fail_msg("%s", store.err.text);
}

/* Whether a point restores; what comes out is right in any case. */
static bool restores(const struct hostile_rig_point *p)
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

static bool needs(const struct hostile_rig_point *p,
                  const struct hostile_rig_thing *t)
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

static bool is_read(const struct hostile_rig_thing *t)
{
    return t->kind == NAME_PACK || t->kind == NAME_MAP || t->kind == NAME_POINT;
}

bool hostile_rig_is_first(size_t i)
{
    return i == 0 || hostile_rig.ours[i].kind != hostile_rig.ours[i - 1].kind;
}

bool hostile_rig_is_due(size_t i, size_t n)
{
    return hostile_rig.all || hostile_rig_is_first(i) || (n + i) % 6 == 0;
}

/* A pack that is nowhere is named by its id alone. */
static bool is_named(const struct hostile_rig_thing *t)
{
    const char *slash = strrchr(t->name, '/');

    return strstr(found, slash ? slash + 1 : t->name) != NULL;
}

void hostile_rig_check(const char *why, const struct hostile_rig_thing *t,
                       const struct hostile_rig_thing *b, unsigned must)
{
    /* Of anything else a restore of a known point reads nothing. */
    bool walks = hostile_rig.all || is_read(t) || (b && is_read(b)) || !trials;
    bool structure[HOSTILE_RIG_POINTS];

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
    for (size_t i = 0; i < HOSTILE_RIG_POINTS; i++) {
        bool may = needs(&hostile_rig.points[i], t) ||
                   (b && needs(&hostile_rig.points[i], b));

        refused[i] = walks && !restores(&hostile_rig.points[i]);
        if (refused[i] && (!may || must & HARMLESS))
            fail_msg("%s: %s: %s does not restore: %s", why, t->name,
                     hostile_rig.points[i].name, found);
        if (!refused[i] && may && must & HURTS)
            fail_msg("%s: %s: %s restores all the same", why, t->name,
                     hostile_rig.points[i].name);
        if (refused[i] && must & FOUND && !hurt[i])
            fail_msg("%s: %s: %s is hurt, and nobody says so: %s", why, t->name,
                     hostile_rig.points[i].name, found);
        if (!refused[i] && hurt[i] && !(must & WRAP))
            fail_msg("%s: %s: %s is not hurt: %s", why, t->name,
                     hostile_rig.points[i].name, found);
    }
    if (!findings != !(must & FOUND))
        fail_msg("%s: %s: found: %s", why, t->name, found);
    if (findings && !is_named(t) && !(b && is_named(b)))
        fail_msg("%s: %s is not named: %s", why, t->name, found);
    if (must & SEALED && !structure_findings)
        fail_msg("%s: %s: not found without data keys", why, t->name);
    put_back();
}
