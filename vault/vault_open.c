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

#include "crypto/seal_wrap.h"
#include "vault/name.h"
#include "vault/vault.h"

#define FETCHES 8          /* wraps under way at once */
#define RECOVERIES_MAX 4096 /* recovery wraps that are looked at */
#define WORK_MAX (UINT64_C(128) << SEAL_WRAP_LOG2_N) /* the sum of their N */
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

/* A wrap that the store has. */
struct found {
    struct name name;
    uint64_t modified_ms;
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
    struct found *found; /* recovery wraps, later those of our tag */
    size_t names, room, next;
    uint64_t work;      /* N of the recovery wraps that were tried */
    bool not_all_tried; /* there are more than we look at, or work for */
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
    free(o->found);
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

static void on_hint(void *ctx, const struct err *err, const uint8_t *data,
                    size_t len, const struct store_info *info)
{
    struct vault_open *o = ctx;
    struct err why = *err;

    (void)info;
    o->op = NULL;
    if (why.code == ERR_PROTOCOL)
        why.code = ERR_INTEGRITY; /* larger than any */
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

static int by_age(const void *a, const void *b)
{
    const struct found *x = a, *y = b;

    if (x->modified_ms != y->modified_ms)
        return x->modified_ms < y->modified_ms ? -1 : 1;
    return memcmp(&x->name.tag, &y->name.tag, sizeof(x->name.tag));
}

/*
 * Whose passphrase a recovery wrap takes, only trying tells, and whoever may
 * write to the store can plant any number under any name. But the true ones
 * were there first, and a store dates what it takes by its own clock: so the
 * oldest is tried first, and of very many the oldest are kept.
 */
static void oldest_first(struct vault_open *o)
{
    if (!o->names)
        return;
    qsort(o->found, o->names, sizeof(*o->found), by_age);
    if (o->names > RECOVERIES_MAX) {
        o->names = RECOVERIES_MAX;
        o->not_all_tried = true;
    }
}

static bool on_entry(void *ctx, const struct store_entry *entry)
{
    struct vault_open *o = ctx;
    struct found f = {.modified_ms = entry->modified_ms};

    if (!name_parse(entry->name, &f.name))
        return true;
    o->any_key = true;
    if (o->state == OPEN_RECOVERY
            ? f.name.kind != NAME_RECOVERY
            : f.name.kind != NAME_KEY || !id16_equal(&f.name.tag, &o->tag))
        return true;
    if (o->state == OPEN_RECOVERY && o->names == (size_t)2 * RECOVERIES_MAX)
        oldest_first(o);
    if (o->names == o->room) {
        size_t room = o->room ? 2 * o->room : 16;
        struct found *more = realloc(o->found, room * sizeof(*more));

        if (!more || o->names >= NAMES_MAX) {
            if (more)
                o->found = more;
            err_set(&o->err, ERR_NOMEM, 0, "too many keys");
            return false;
        }
        o->found = more;
        o->room = room;
    }
    o->found[o->names++] = f;
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
    else if (o->not_all_tried)
        err_set(&err, ERR_KEY, 0, "%s: the passphrase opens none of the %u "
                "oldest of very many recovery keys. Most of them were planted: "
                "remove from keys/recovery/ what is not yours, or use a key "
                "file with a private key", where, o->bad_wraps);
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
        else
            oldest_first(o);
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
        .key_id = o->found[o->next - 1].name.tag,
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
    struct err err = {0};

    o->wrap_len = len < sizeof(o->wrap) ? len : sizeof(o->wrap);
    memcpy(o->wrap, data, o->wrap_len);
    /* What is no such wrap at sight costs no work. */
    if (seal_wrap_parse(o->wrap, o->wrap_len, &info, &err) == ERR_OK &&
        (info.what != SEAL_WRAP_PRIVATE ||
         !id16_equal(&info.key_id, &o->found[o->next - 1].name.tag)))
        err_set(&err, ERR_INTEGRITY, 0, "wrap: another key than its name");
    if (err.code != ERR_OK) {
        note_bad(o, &err);
        return;
    }
    if (o->work + (UINT64_C(1) << info.log2_n) > o->opts.work_max) {
        o->not_all_tried = true;
        o->next = o->names; /* no more are fetched */
        return;
    }
    o->work += UINT64_C(1) << info.log2_n;
    o->item = (struct heavy){
        .bytes = seal_wrap_scrypt_bytes(info.log2_n),
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

    while (o->next < o->names && !is_wanted(o, &o->found[o->next].name))
        o->next++;
    if (o->next == o->names)
        return false;
    f->name = o->found[o->next++].name;
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
    if (!o->opts.work_max)
        o->opts.work_max = WORK_MAX;
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
        store_fetch(opts->store, "format", VAULT_OPEN_HINT_MAX, (struct store_range){0},
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
