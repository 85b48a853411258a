/* SPDX-License-Identifier: Apache-2.0 */
/*
 *  HINT --format read--> RECOVERY (with a passphrase) --> TRYING (slow lane)
 *    |                                                       |
 *    +----------(with a private key)----> LISTING <----------+
 *                                            |
 *                   done <-- KEYS <-- ROOT <-+
 *
 * Any failure: ENDING, which waits for what is under way.
 */
#include "vault/vault_open.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/json.h"
#include "base/parse.h"
#include "crypto/seal_wrap.h"
#include "vault/name.h"
#include "vault/vault.h"

#define FETCHES 8          /* wraps under way at once */
#define HINT_MAX 1024      /* bytes of `format` */
#define RECOVERIES_MAX 32  /* recovery wraps that are tried, a second each */
#define NAMES_MAX 1000000u /* wraps for one recipient */

enum open_state {
    OPEN_HINT,
    OPEN_RECOVERY,
    OPEN_TRYING,
    OPEN_LISTING,
    OPEN_ROOT,
    OPEN_KEYS,
    OPEN_ENDING,
};

/* One wrap on its way from the store. */
struct fetch {
    struct vault_open *o; /* NULL: free */
    struct store_op *op;
    struct name name;
};

struct vault_open {
    enum open_state state;
    struct vault_open_opts opts;
    struct err err; /* the first failure */
    struct store_op *op;
    bool passphrase_set;
    char passphrase[SEAL_KEYFILE_PASSPHRASE];
    struct seal_pair pair; /* once known */
    struct id16 tag;
    struct vault_open_hint hint;
    bool has_hint;
    bool any_key;      /* somebody's: a vault lies there */
    struct name *name; /* recovery wraps, later those of our tag */
    size_t names, room, next;
    struct keyring *keys; /* once RS is open */
    unsigned bad_wraps;
    struct err bad; /* why the first of them did not open */
    struct fetch fetch[FETCHES];
    unsigned fetching;
    /* The slow lane's, while TRYING: */
    struct heavy item;
    bool item_out;
    uint8_t wrap[SEAL_WRAP_BYTES];
    size_t wrap_len;
    struct err try_err;
};

static void list_keys(struct vault_open *o);
static void step(struct vault_open *o);

/* --- the end -------------------------------------------------------------- */

static void free_open(struct vault_open *o)
{
    keyring_unref(o->keys);
    free(o->name);
    bytes_wipe(o, sizeof(*o));
    free(o);
}

/* The only way out, as far as it can be known inside a callback: settle() ends
 * it. err ERR_OK: all keys are read. */
static void finish(struct vault_open *o, const struct err *err)
{
    err_keep(&o->err, err);
    if (o->state == OPEN_ENDING)
        return;
    o->state = OPEN_ENDING;
    if (o->op)
        store_op_cancel(o->op);
    for (size_t i = 0; i < FETCHES; i++)
        if (o->fetch[i].o)
            store_op_cancel(o->fetch[i].op);
    if (o->item_out)
        heavy_cancel(&o->item);
}

/* The last call of every callback; `o` may be gone after it. */
static void settle(struct vault_open *o)
{
    struct vault_opened opened;

    /* Not before nothing is under way: the pair is the lane's until then. */
    if (o->state != OPEN_ENDING || o->op || o->fetching || o->item_out)
        return;
    opened = (struct vault_opened){
        .keys = o->keys, .pair = o->pair, .bad_wraps = o->bad_wraps};
    o->opts.done(o->opts.ctx, &o->err, o->err.code ? NULL : &opened);
    seal_pair_fini(&opened.pair);
    free_open(o);
}

/* --- the hint ------------------------------------------------------------- */

enum err_code vault_open_hint_parse(const void *text, size_t len,
                                    struct vault_open_hint *out,
                                    struct err *err)
{
    struct vault_open_hint hint = {0};
    struct json *doc = NULL;
    int64_t format, suite;
    enum err_code rc;

    rc = json_parse(text, len, &doc, err);
    if (rc == ERR_PROTOCOL)
        return err_set(err, ERR_INTEGRITY, 0, "format: %s", err->text);
    if (rc != ERR_OK)
        return rc;
    format = json_int(json_get(doc, "format"), -1);
    suite = json_int(json_get(doc, "suite"), -1);
    if (format < 1 || suite < 1 ||
        !parse_id16(json_text(json_get(doc, "vault"), ""), &hint.vault_id))
        rc = err_set(err, ERR_INTEGRITY, 0, "format: not such a document");
    else if (format != VAULT_FORMAT)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "the vault is of format %jd; this program knows format %d",
                     (intmax_t)format, VAULT_FORMAT);
    else if (suite != 1)
        rc = err_set(err, ERR_PROTOCOL, 0,
                     "the vault is of suite %jd; this program knows suite 1",
                     (intmax_t)suite);
    if (rc == ERR_OK) {
        hint.format = (unsigned)format;
        clock_parse_rfc3339(json_text(json_get(doc, "created"), ""),
                            &hint.created_ms);
        *out = hint;
    }
    json_free(doc);
    return rc;
}

static void on_hint(void *ctx, const struct err *err, const uint8_t *data,
                    size_t len, const struct store_info *info)
{
    struct vault_open *o = ctx;
    struct err why = *err;

    (void)info;
    o->op = NULL;
    if (why.code == ERR_OK)
        vault_open_hint_parse(data, len, &o->hint, &why);
    o->has_hint = why.code == ERR_OK;
    /* It is but a hint: damaged or gone it stops nobody who has a key. But a
     * version that we do not know is one. */
    if (why.code != ERR_OK && why.code != ERR_NOT_FOUND &&
        why.code != ERR_INTEGRITY) {
        finish(o, &why);
    } else if (o->state != OPEN_ENDING) {
        o->state = o->passphrase_set ? OPEN_RECOVERY : OPEN_LISTING;
        list_keys(o);
    }
    settle(o);
}

/* --- listing -------------------------------------------------------------- */

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct vault_open *o = ctx;
    struct name name;

    if (!name_parse(entry->name, &name))
        return true;
    o->any_key = true;
    if (o->state == OPEN_RECOVERY
            ? name.kind != NAME_RECOVERY || o->names == RECOVERIES_MAX
            : name.kind != NAME_KEY || !id16_equal(&name.tag, &o->tag))
        return true;
    if (o->names == o->room) {
        size_t room = o->room ? 2 * o->room : 16;
        struct name *more = realloc(o->name, room * sizeof(*more));

        if (!more || o->names >= NAMES_MAX) {
            if (more)
                o->name = more;
            err_set(&o->err, ERR_NOMEM, 0, "too many keys");
            return false;
        }
        o->name = more;
        o->room = room;
    }
    o->name[o->names++] = name;
    return true;
}

/* Nothing of ours is there: say why, as well as can be known. */
static void nothing_found(struct vault_open *o)
{
    const char *where = o->opts.store->location;
    struct err err;
    char hex[2][33];

    bytes_hex(o->opts.vault_id.b, 16, hex[0]);
    bytes_hex(o->hint.vault_id.b, 16, hex[1]);
    if (o->has_hint && !id16_equal(&o->hint.vault_id, &o->opts.vault_id))
        err_set(&err, ERR_KEY, 0, "%s: vault %s lies there; the key is for %s",
                where, hex[1], hex[0]);
    else if (o->bad.code != ERR_OK)
        err_set(&err, o->bad.code, 0, "%s: the vault's keys do not open: %s",
                where, o->bad.text);
    else if (o->has_hint || o->any_key)
        err_set(&err, ERR_KEY, 0, "%s: no key of vault %s is wrapped for %s",
                where, hex[0],
                o->state == OPEN_RECOVERY ? "a passphrase" : "this key");
    else
        err_set(&err, ERR_NOT_FOUND, 0, "%s: no vault lies there", where);
    finish(o, &err);
}

static void on_listed(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct vault_open *o = ctx;

    (void)info;
    o->op = NULL;
    if (err->code != ERR_OK) {
        finish(o, err);
    } else if (o->state != OPEN_ENDING) {
        if (o->state == OPEN_LISTING)
            o->state = OPEN_ROOT;
        o->next = 0;
        step(o);
    }
    settle(o);
}

static void list_keys(struct vault_open *o)
{
    struct store_list_opts list = {
        .prefix = o->state == OPEN_RECOVERY ? "keys/recovery/" : "keys/",
        .on_entry = on_entry,
        .done = on_listed,
        .ctx = o,
    };
    struct err err;

    o->names = 0;
    if (store_list(o->opts.store, &list, &o->op, &err) != ERR_OK)
        finish(o, &err);
}

/* --- a passphrase --------------------------------------------------------- */

static void run_scrypt(struct heavy *item)
{
    struct vault_open *o =
        (struct vault_open *)((char *)item - offsetof(struct vault_open, item));
    struct seal_wrap_open_opts opts = {
        .suite = o->opts.suite,
        .vault_id = o->opts.vault_id,
        .key_id = o->name[o->next - 1].tag,
        .passphrase = o->passphrase,
    };

    err_clear(&o->try_err);
    seal_wrap_open_scrypt(&opts, o->wrap, o->wrap_len, &o->pair, &o->try_err);
}

static void note_bad(struct vault_open *o, const struct err *why)
{
    o->bad_wraps++;
    err_keep(&o->bad, why);
}

static void pair_known(struct vault_open *o)
{
    struct err err = {0};

    if (seal_key_tag(o->opts.suite, &o->opts.vault_id, o->pair.public, &o->tag,
                     &err) != ERR_OK) {
        finish(o, &err);
        return;
    }
    err_clear(&o->bad);
    o->bad_wraps = 0;
    o->state = OPEN_LISTING;
    list_keys(o);
}

static void on_scrypt(struct heavy *item, const struct err *err)
{
    struct vault_open *o =
        (struct vault_open *)((char *)item - offsetof(struct vault_open, item));

    o->item_out = false;
    if (o->state == OPEN_ENDING) {
        /* cancelled meanwhile */
    } else if (err->code != ERR_OK) {
        finish(o, err);
    } else if (o->try_err.code == ERR_OK) {
        pair_known(o);
    } else if (o->try_err.code == ERR_NOMEM) {
        finish(o, &o->try_err);
    } else {
        note_bad(o, &o->try_err);
        o->state = OPEN_RECOVERY;
        step(o);
    }
    settle(o);
}

static void try_passphrase(struct vault_open *o, const uint8_t *data,
                           size_t len)
{
    const struct heavy_place place = {o->opts.slow, o->opts.budget,
                                      o->opts.tenant};
    struct seal_wrap_info info = {0};
    struct err ignored;

    o->wrap_len = len < sizeof(o->wrap) ? len : sizeof(o->wrap);
    memcpy(o->wrap, data, o->wrap_len);
    /* What is no wrap costs no memory and is refused there. */
    seal_wrap_parse(o->wrap, o->wrap_len, &info, &ignored);
    o->item = (struct heavy){
        .bytes = info.log2_n ? seal_wrap_scrypt_bytes(info.log2_n) : 0,
        .run = run_scrypt, .done = on_scrypt, .loop = o->opts.store->loop};
    o->item_out = true;
    o->state = OPEN_TRYING;
    heavy_start(&o->item, &place);
}

/* --- wraps for a key pair ------------------------------------------------- */

static void take_wrap(struct vault_open *o, const struct name *name,
                      const uint8_t *data, size_t len)
{
    struct seal_wrap_open_opts opts = {
        .suite = o->opts.suite,
        .vault_id = o->opts.vault_id,
        .key_id = name->id,
        .pair = &o->pair,
        .rs = o->keys ? keyring_rs(o->keys) : NULL,
    };
    bool root = id16_equal(&name->id, &o->opts.vault_id);
    struct seal_key secret = {{0}};
    enum seal_wrap_what what;
    struct err err = {0};

    seal_wrap_open(&opts, data, len, &secret, &what, &err);
    if (err.code == ERR_OK && (what == SEAL_WRAP_RS) != root)
        err_set(&err, ERR_INTEGRITY, 0, "wrap: another secret than its name");
    if (err.code == ERR_OK && root && !o->keys)
        keyring_new(o->opts.suite, &secret, &o->keys, &err);
    else if (err.code == ERR_OK && !root)
        keyring_add(o->keys,
                    what == SEAL_WRAP_MK ? SEAL_KEY_META : SEAL_KEY_DATA,
                    &secret, false, &err);
    seal_key_fini(&secret);
    if (err.code == ERR_NOMEM)
        finish(o, &err);
    else if (err.code != ERR_OK)
        note_bad(o, &err);
}

/* Whether a wrap is worth fetching: RS first, then each key once. */
static bool is_wanted(const struct vault_open *o, const struct name *name)
{
    bool root = id16_equal(&name->id, &o->opts.vault_id);

    if (o->state == OPEN_RECOVERY)
        return true;
    if (o->state == OPEN_ROOT)
        return root && !o->keys;
    return !root && !keyring_find(o->keys, SEAL_KEY_META, &name->id) &&
           !keyring_find(o->keys, SEAL_KEY_DATA, &name->id);
}

static void on_wrap(void *ctx, const struct err *err, const uint8_t *data,
                    size_t len, const struct store_info *info)
{
    struct fetch *f = ctx;
    struct vault_open *o = f->o;

    (void)info;
    f->o = NULL;
    o->fetching--;
    if (o->state != OPEN_ENDING && err->code == ERR_OK) {
        if (o->state == OPEN_RECOVERY)
            try_passphrase(o, data, len);
        else
            take_wrap(o, &f->name, data, len);
    } else if (err->code == ERR_NOT_FOUND || err->code == ERR_PROTOCOL) {
        note_bad(o, err); /* gone meanwhile, or far too long */
    } else {
        finish(o, err);
    }
    if (o->state != OPEN_TRYING)
        step(o);
    settle(o);
}

static bool fetch_next(struct vault_open *o, struct fetch *f)
{
    char text[NAME_TEXT];
    struct err err;

    while (o->next < o->names && !is_wanted(o, &o->name[o->next]))
        o->next++;
    if (o->next == o->names)
        return false;
    f->name = o->name[o->next++];
    f->o = o;
    name_text(&f->name, text);
    if (store_fetch(o->opts.store, text, SEAL_WRAP_BYTES,
                    (struct store_range){0}, on_wrap, f, &f->op,
                    &err) != ERR_OK) {
        f->o = NULL;
        finish(o, &err);
        return false;
    }
    o->fetching++;
    return true;
}

/* Fetch what is still wanted; when there is no more, go on. */
static void step(struct vault_open *o)
{
    /* One at a time where the first that opens is enough. */
    size_t most = o->state == OPEN_KEYS ? FETCHES : 1;
    struct err ok = {0};

    for (size_t i = 0; i < most && o->state != OPEN_ENDING; i++)
        if (!o->fetch[i].o && !fetch_next(o, &o->fetch[i]))
            break;
    if (o->fetching || o->state == OPEN_ENDING)
        return;
    if (o->state == OPEN_RECOVERY || (o->state == OPEN_ROOT && !o->keys)) {
        nothing_found(o);
    } else if (o->state == OPEN_ROOT) {
        o->state = OPEN_KEYS;
        o->next = 0;
        step(o);
    } else {
        finish(o, &ok);
    }
}

/* --- outside -------------------------------------------------------------- */

enum err_code vault_open_start(const struct vault_open_opts *opts,
                               struct vault_open **out, struct err *err)
{
    struct vault_open *o;
    size_t len = opts->passphrase ? strlen(opts->passphrase) : 0;

    if (!opts->pair == !opts->passphrase || (opts->passphrase && !opts->slow) ||
        len >= SEAL_KEYFILE_PASSPHRASE)
        return err_set(err, ERR_ARGUMENT, 0,
                       "a vault is opened by a private key or a passphrase");
    o = calloc(1, sizeof(*o));
    if (!o)
        return err_set(err, ERR_NOMEM, 0, "opening a vault");
    o->opts = *opts;
    o->opts.pair = NULL;
    o->opts.passphrase = NULL;
    if (opts->passphrase) {
        memcpy(o->passphrase, opts->passphrase, len + 1);
        o->passphrase_set = true;
    } else {
        o->pair = *opts->pair;
    }
    if ((opts->pair && seal_key_tag(opts->suite, &opts->vault_id,
                                    opts->pair->public, &o->tag, err)) ||
        store_fetch(opts->store, "format", HINT_MAX, (struct store_range){0},
                    on_hint, o, &o->op, err) != ERR_OK) {
        free_open(o);
        return err->code;
    }
    *out = o;
    return ERR_OK;
}

void vault_open_cancel(struct vault_open *o)
{
    struct err err;

    err_set(&err, ERR_CANCELLED, 0, "opening the vault was cancelled");
    finish(o, &err); /* something is always under way: its end calls done() */
}

enum err_code vault_open_keyfile(const struct vault_open_opts *opts,
                                 const struct seal_keyfile *file,
                                 struct vault_open **out, struct err *err)
{
    struct vault_open_opts o = *opts;
    struct seal_pair pair = {0};
    enum err_code rc = ERR_OK;

    o.vault_id = file->vault_id;
    o.pair = NULL;
    o.passphrase = NULL;
    if (file->is_private) {
        rc = seal_pair_from(&file->private, &pair, err);
        o.pair = &pair;
    } else {
        o.passphrase = file->passphrase;
    }
    if (rc == ERR_OK)
        rc = vault_open_start(&o, out, err);
    seal_pair_fini(&pair);
    return rc;
}

/* --- the hint alone ------------------------------------------------------- */

struct hint_read {
    void (*done)(void *ctx, const struct err *err,
                 const struct vault_open_hint *hint);
    void *ctx;
    char location[256];
};

static void on_hint_alone(void *ctx, const struct err *err, const uint8_t *data,
                          size_t len, const struct store_info *info)
{
    struct hint_read *h = ctx;
    struct vault_open_hint hint;
    struct err why = *err;

    (void)info;
    if (why.code == ERR_NOT_FOUND)
        err_set(&why, ERR_NOT_FOUND, 0, "%s: no vault lies there", h->location);
    else if (why.code == ERR_OK &&
             vault_open_hint_parse(data, len, &hint, &why) != ERR_OK)
        err_context(&why, "%s", h->location);
    h->done(h->ctx, &why, why.code == ERR_OK ? &hint : NULL);
    free(h);
}

enum err_code
vault_open_hint_start(struct store *store,
                      void (*done)(void *ctx, const struct err *err,
                                   const struct vault_open_hint *hint),
                      void *ctx, struct err *err)
{
    struct hint_read *h = calloc(1, sizeof(*h));

    if (!h)
        return err_set(err, ERR_NOMEM, 0, "format");
    h->done = done;
    h->ctx = ctx;
    snprintf(h->location, sizeof(h->location), "%s", store->location);
    if (store_fetch(store, "format", HINT_MAX, (struct store_range){0},
                    on_hint_alone, h, NULL, err) != ERR_OK) {
        free(h);
        return err->code;
    }
    return ERR_OK;
}
