/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Parts go to the store: as an upload from the moment the first part is full
 * and more is to come, as one plain PUT otherwise. Then: Complete, retention
 * where the store wants a call for it, a look at the first pack's retention,
 * and the local index is told.
 */
#include "vault/session_inside.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"

/* --- retention ------------------------------------------------------- */

static uint64_t lock_until(const struct session *s)
{
    return s->opts.retain_until_ms + SESSION_LOCK_EXTRA_MS;
}

void session_send_write(const struct session *s, struct store_write *w,
                        bool upload)
{
    const struct store_traits *t = &s->opts.store->traits;

    memset(w, 0, sizeof(*w));
    w->if_absent = t->if_absent && !upload;
    if (s->settings.lock == STORE_LOCK_NONE ||
        !(upload ? t->lock_on_create : t->lock_on_put))
        return;
    w->lock = s->settings.lock;
    w->retain_until_ms = lock_until(s);
}

/* --- the local index ------------------------------------------------- */

/* What the index knows now need not be remembered here, once no batch is left
 * that asked before it knew. */
static void forget_stored(struct session *s, struct session_pack *p)
{
    for (uint32_t i = 0; i < p->slots; i++) {
        struct id16 id;
        uint64_t value;

        memcpy(id.b, p->entries + (size_t)i * PACK_LAYOUT_ENTRY, 16);
        if (session_table_find(s->stored, &id, &value) &&
            value == ((uint64_t)p->number << 32 | i))
            session_table_drop(s->stored, &id);
    }
}

static void on_indexed(struct index_op *op)
{
    struct session_pack *p = SESSION_OWNER(op, struct session_pack, index);

    p->state = PACK_GONE;
    p->safe_seq = p->session->next;
    session_release(p->session);
}

static void free_gone(struct session *s)
{
    struct session_pack **at = &s->packs;

    while (*at) {
        struct session_pack *p = *at;

        if (p->state != PACK_GONE || s->decide < p->safe_seq) {
            at = &p->next;
            continue;
        }
        forget_stored(s, p);
        *at = p->next;
        session_pack_free(p);
    }
}

/* The pack is in the store to stay. */
static void pack_stored(struct session_pack *p)
{
    struct session *s = p->session;
    struct run_pack run = {.id = s->refs[p->number].id,
                           .key_id = p->key_id,
                           .kind = p->kind,
                           .slots = p->slots,
                           .entries = p->entries};

    s->figures.packs += p->kind == SEAL_SLOT_DATA;
    s->figures.map_packs += p->kind == SEAL_SLOT_MAP;
    s->figures.stored += p->end;
    if (!s->run_packs)
        s->run_begun_ms = session_mono(s);
    if (!run_add(&s->run, &run)) {
        session_fail_at(s, ERR_NOMEM, "index run");
        return;
    }
    s->run_packs++;
    p->state = PACK_INDEXING;
    p->index_entry = (struct index_entry){.pack = {.id = run.id,
                                                   .key_id = run.key_id,
                                                   .kind = (uint16_t)run.kind,
                                                   .slots = run.slots},
                                          .entries = p->entries};
    p->index = (struct index_op){.verb = INDEX_ADD,
                                 .loop = s->loop,
                                 .done = on_indexed,
                                 .count = 1,
                                 .entries = &p->index_entry};
    s->busy++;
    index_start(s->opts.index, &p->index);
}

/* --- the lock of a pack ---------------------------------------------- */

static void on_lock_seen(void *ctx, const struct err *err,
                         const struct store_info *info)
{
    struct session_pack *p = ctx;
    struct session *s = p->session;

    p->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    else if (info->retain_until_ms / 1000 < lock_until(s) / 1000)
        session_fail_at(s, ERR_REMOTE,
                        "it does not keep the retention of a new pack");
    s->lock_seen = true;
    if (session_alive(s))
        pack_stored(p);
    session_release(s);
}

static void look_at_lock(struct session_pack *p)
{
    struct session *s = p->session;
    struct store_name_opts head = {
        .name = p->name, .done = on_lock_seen, .ctx = p};
    struct err err;

    if (s->settings.lock == STORE_LOCK_NONE || s->lock_seen) {
        pack_stored(p);
        return;
    }
    if (store_head(s->opts.store, &head, &p->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void on_locked(void *ctx, const struct err *err,
                      const struct store_info *info)
{
    struct session_pack *p = ctx;
    struct session *s = p->session;

    (void)info;
    p->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    if (session_alive(s))
        look_at_lock(p);
    session_release(s);
}

/* Complete. A store that does not take retention with the object gets a call
 * of its own. */
static void pack_sent(struct session_pack *p, bool upload,
                      const struct store_info *info)
{
    struct session *s = p->session;
    const struct store_traits *t = &s->opts.store->traits;
    struct store_retain_opts retain = {
        .name = p->name,
        .version = info->version[0] ? info->version : NULL,
        .lock = s->settings.lock,
        .retain_until_ms = lock_until(s),
        .done = on_locked,
        .ctx = p,
    };
    struct err err;

    p->state = PACK_LOCKING;
    if (s->settings.lock == STORE_LOCK_NONE ||
        (upload ? t->lock_on_create : t->lock_on_put)) {
        look_at_lock(p);
        return;
    }
    if (store_retain(s->opts.store, &retain, &p->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

/* --- one plain PUT --------------------------------------------------- */

static void put_done(struct session_part *part, const struct store_info *info)
{
    struct session_pack *p = part->pack;

    session_note_close(p->session, &p->note);
    session_pack_part_sent(part);
    p->parts_sent++;
    p->session->figures.parts++;
    pack_sent(p, false, info);
}

static void on_looked_at(void *ctx, const struct err *err,
                         const struct store_info *info)
{
    struct session_part *part = ctx;
    struct session *s = part->pack->session;

    part->op = NULL;
    if (err->code != ERR_OK)
        session_fail(s, err);
    else if (info->bytes != part->len)
        session_fail_at(s, ERR_CONFLICT, "a pack's name is taken");
    if (session_alive(s))
        put_done(part, info);
    session_release(s);
}

/* The name is random, so what lies there is ours: a PUT that was repeated
 * because its answer was lost. */
static void look_at_put(struct session_part *part)
{
    struct session *s = part->pack->session;
    struct store_name_opts head = {
        .name = part->pack->name, .done = on_looked_at, .ctx = part};
    struct err err;

    if (store_head(s->opts.store, &head, &part->op, &err) == ERR_OK)
        s->busy++;
    else
        session_fail(s, &err);
}

static void on_put(void *ctx, const struct err *err,
                   const struct store_info *info)
{
    struct session_part *part = ctx;
    struct session *s = part->pack->session;

    part->op = NULL;
    part->sending = false;
    s->parts_in_flight--;
    if (err->code != ERR_OK && err->code != ERR_CONFLICT)
        session_fail(s, err);
    if (session_alive(s)) {
        if (err->code == ERR_CONFLICT)
            look_at_put(part);
        else
            put_done(part, info);
    }
    session_release(s);
}

static void put_pack(struct session_part *part)
{
    struct session_pack *p = part->pack;
    struct session *s = p->session;
    struct slice body = {part->slab->data, (size_t)part->len};
    struct store_put_opts put = {
        .name = p->name,
        .body = &body,
        .slices = 1,
        .sha256 = part->sha256,
        .done = on_put,
        .ctx = part,
    };
    struct err err;

    if (FAILPOINT("session_pack_put")) {
        session_fail_at(s, ERR_IO, "failpoint session_pack_put");
        return;
    }
    session_send_write(s, &put.write, false);
    if (p->kind == SEAL_SLOT_DATA && s->settings.storage_class[0])
        put.write.storage_class = s->settings.storage_class;
    if (store_put(s->opts.store, &put, &part->op, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    p->state = PACK_COMPLETING;
    part->sending = true;
    s->parts_in_flight++;
    s->busy++;
}

/* --- an upload ------------------------------------------------------- */

static void upload_closed(struct session_pack *p)
{
    p->upload = NULL;
    session_note_close(p->session, &p->note);
}

static void on_created(void *ctx, const struct err *err,
                       struct store_upload *up)
{
    struct session_pack *p = ctx;
    struct session *s = p->session;

    p->op = NULL;
    p->upload = up;
    /* What a lost answer may have left has this name, too: the row stays. */
    p->note.stays |= s->opts.store->strays != p->strays;
    if (!up) {
        session_fail(s, err);
    } else {
        snprintf(p->upload_id, sizeof(p->upload_id), "%s", store_upload_id(up));
        if (s->events.upload_opened)
            s->events.upload_opened(s->opts.ctx, p->name, p->upload_id);
        if (FAILPOINT("session_upload_created"))
            session_fail_at(s, ERR_IO, "failpoint session_upload_created");
    }
    session_release(s);
}

static void create_upload(struct session_pack *p)
{
    struct session *s = p->session;
    struct store_upload_opts create = {
        .name = p->name, .created = on_created, .ctx = p};
    struct err err;

    p->strays = s->opts.store->strays;
    session_send_write(s, &create.write, true);
    if (p->kind == SEAL_SLOT_DATA && s->settings.storage_class[0])
        create.write.storage_class = s->settings.storage_class;
    if (store_upload_create(s->opts.store, &create, &p->op, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    p->creating = true;
    s->busy++;
}

static void on_part(void *ctx, const struct err *err,
                    const struct store_info *info)
{
    struct session_part *part = ctx;
    struct session_pack *p = part->pack;
    struct session *s = p->session;

    (void)info;
    part->op = NULL;
    part->sending = false;
    s->parts_in_flight--;
    if (session_spill_came_back(part, err)) {
        /* it is to wait in the file */
    } else if (err->code != ERR_OK) {
        session_fail(s, err);
    } else if (session_alive(s)) {
        session_pack_part_sent(part);
        p->parts_sent++;
        s->figures.parts++;
    }
    session_release(s);
}

static void send_part(struct session_part *part)
{
    struct session_pack *p = part->pack;
    struct session *s = p->session;
    uint64_t len = session_part_full(part) ? STORE_PART_BYTES : part->len;
    struct slice body = {part->slab->data, (size_t)len};
    struct store_part_opts opts = {
        .number = part->number,
        .body = &body,
        .slices = 1,
        .sha256 = part->sha256,
        .done = on_part,
        .ctx = part,
    };
    struct err err;

    if (FAILPOINT("session_part_put")) {
        session_fail_at(s, ERR_IO, "failpoint session_part_put");
        return;
    }
    if (store_upload_part(p->upload, &opts, &part->op, &err) != ERR_OK) {
        session_fail(s, &err);
        return;
    }
    part->sending = true;
    s->parts_in_flight++;
    s->busy++;
}

static void on_complete(void *ctx, const struct err *err,
                        const struct store_info *info)
{
    struct session_pack *p = ctx;
    struct session *s = p->session;

    p->op = NULL;
    if (err->code != ERR_OK) {
        session_fail(s, err); /* the upload is aborted with the others */
    } else {
        upload_closed(p);
        if (session_alive(s))
            pack_sent(p, true, info);
    }
    session_release(s);
}

static void complete_upload(struct session_pack *p)
{
    struct session *s = p->session;
    struct err err;

    if (FAILPOINT("session_pack_complete")) {
        session_fail_at(s, ERR_IO, "failpoint session_pack_complete");
        return;
    }
    if (store_upload_complete(p->upload, on_complete, p, &p->op, &err) !=
        ERR_OK) {
        session_fail(s, &err);
        return;
    }
    p->state = PACK_COMPLETING;
    s->busy++;
}

/* --- index runs ------------------------------------------------------ */

static void on_run_put(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct session *s = ctx;

    (void)info;
    s->run_op = NULL;
    s->run_busy = false;
    /* Who has drawn 32 random bits finds only what it put itself. */
    if (err->code != ERR_OK && err->code != ERR_CONFLICT)
        session_fail(s, err);
    s->figures.index_runs++;
    s->figures.meta_bytes += s->run_object.len;
    buf_fini(&s->run_object);
    session_note_close(s, &s->run_note);
    session_release(s);
}

static enum err_code name_run(struct session *s, struct err *err)
{
    struct name name = {.kind = NAME_INDEX, .time_ms = session_wall(s)};

    name.time_ms -= name.time_ms % 1000;
    if (name_random(&name.rand, err) == ERR_OK)
        name_text(&name, s->run_name);
    return err->code;
}

static void put_run(struct session *s)
{
    struct slice body;
    struct store_put_opts put = {.name = s->run_name,
                                 .body = &body,
                                 .slices = 1,
                                 .done = on_run_put,
                                 .ctx = s};
    struct err err = {0};

    if (s->run_note.state == NOTE_NONE && name_run(s, &err) != ERR_OK)
        goto failed;
    if (!session_note_stands(s, &s->run_note, "put", s->run_name))
        return;
    if (run_seal(s->keys, s->run_name, (struct slice){s->run.data, s->run.len},
                 &s->run_object, &err) != ERR_OK)
        goto failed;
    buf_fini(&s->run);
    s->run_packs = 0;
    body = (struct slice){s->run_object.data, s->run_object.len};
    put.write.if_absent = s->opts.store->traits.if_absent; /* never locked */
    if (FAILPOINT("session_run_put")) {
        session_fail_at(s, ERR_IO, "failpoint session_run_put");
        return;
    }
    if (store_put(s->opts.store, &put, &s->run_op, &err) != ERR_OK)
        goto failed;
    s->run_busy = true;
    s->busy++;
    return;
failed:
    session_fail(s, &err);
}

/* A checkpoint is due after 64 packs or 5 minutes, or when the run grows large;
 * at the end in any case. */
#define RUN_PACKS 64u
#define RUN_MS ((uint64_t)5 * 60 * 1000)
#define RUN_BYTES (8 * MIB)

void session_send_run(struct session *s, bool now)
{
    if (s->run_busy || !s->run_packs || !session_alive(s))
        return;
    if (now || s->run_packs >= RUN_PACKS || s->run.len >= RUN_BYTES ||
        session_mono(s) - s->run_begun_ms >= RUN_MS)
        put_run(s);
}

/* --- from the pump --------------------------------------------------- */

static bool all_appended(const struct session_pack *p)
{
    return p->last_part->last;
}

static void send_pack(struct session_pack *p)
{
    struct session *s = p->session;
    bool single = p->part_count == 1 && all_appended(p);

    if (p->state > PACK_ENDING)
        return;
    if (session_part_full(p->parts) && !single && !p->creating &&
        session_note_stands(s, &p->note, "upload", p->name))
        create_upload(p);
    for (struct session_part *part = p->parts; part; part = part->next) {
        if (!part->complete || part->sending || part->sent || !part->slab ||
            s->parts_in_flight >= SESSION_PARTS_IN_FLIGHT || !session_alive(s))
            continue;
        if (single && session_note_stands(s, &p->note, "put", p->name))
            put_pack(part);
        else if (p->upload && session_spill_may_send(part))
            send_part(part);
    }
    if (!single && all_appended(p) && p->parts_sent == p->part_count &&
        session_alive(s))
        complete_upload(p);
}

void session_send_go(struct session *s)
{
    for (struct session_pack *p = s->packs; p && session_alive(s); p = p->next)
        send_pack(p);
    free_gone(s);
    session_send_run(s, false);
}

bool session_send_idle(const struct session *s)
{
    for (const struct session_pack *p = s->packs; p; p = p->next)
        if (p->state < PACK_INDEXING)
            return false;
    return !s->run_busy;
}

/* --- giving up ------------------------------------------------------- */

void session_send_cancel(struct session *s)
{
    for (struct session_pack *p = s->packs; p; p = p->next) {
        if (p->op)
            store_op_cancel(p->op);
        for (struct session_part *part = p->parts; part; part = part->next)
            if (part->op)
                store_op_cancel(part->op);
    }
    if (s->run_op)
        store_op_cancel(s->run_op);
    session_spill_cancel(s);
}

static void on_aborted(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct session_pack *p = ctx;

    (void)info;
    p->op = NULL;
    /* What could not be aborted stays in the journal; one that is not there
     * was completed, though we did not hear of it. */
    if (err->code == ERR_OK || err->code == ERR_NOT_FOUND)
        upload_closed(p);
    session_release(p->session);
}

void session_send_abort(struct session *s)
{
    for (struct session_pack *p = s->packs; p; p = p->next) {
        struct err err;

        if (p->upload && store_upload_abort(p->upload, on_aborted, p, &p->op,
                                            &err) == ERR_OK)
            s->busy++;
        else if (!p->creating)
            session_note_close(s, &p->note);
        /* Else it was asked for in vain, or so it seemed: the row stays. */
    }
    session_note_close(s, &s->run_note);
}
