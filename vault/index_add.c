/* SPDX-License-Identifier: Apache-2.0 */
#include "vault/index_add.h"

#include <stdlib.h>
#include <string.h>

#include "vault/pack_layout.h"

struct row {
    int64_t h, rest, place;
};

static int compare_rows(const void *a, const void *b)
{
    int64_t x = ((const struct row *)a)->h, y = ((const struct row *)b)->h;

    return x < y ? -1 : x > y;
}

/* Which slots of a pack must not be added: a bit each. */
static void mark_condemned(struct index_db *db, const struct index_entry *e,
                           uint8_t *marks, struct err *err)
{
    sqlite3_stmt *s = db->query[CONDEMNED_OF];

    index_db_bind_id(s, 1, &e->pack.id);
    while (index_db_step(db, CONDEMNED_OF, err)) {
        int64_t first = sqlite3_column_int64(s, 0);
        int64_t count = sqlite3_column_int64(s, 1);

        if (count == 0) {
            first = 0;
            count = e->pack.slots;
        }
        for (int64_t i = first; i < first + count && i < e->pack.slots; i++)
            marks[i / 8] |= (uint8_t)(1u << i % 8);
    }
    sqlite3_reset(s);
}

/* Chunks in the order of the table they go into: rows next to each other are
 * cheaper to put there. */
static void put_chunks(struct index_db *db, const struct index_entry *e,
                       int64_t n, struct row *rows, const uint8_t *marks,
                       struct err *err)
{
    sqlite3_stmt *s = db->query[CHUNK_PUT];
    size_t count = 0;

    for (uint32_t i = 0; i < e->pack.slots; i++) {
        const uint8_t *at = e->entries + (size_t)i * PACK_LAYOUT_ENTRY;

        if (marks[i / 8] & 1u << i % 8 || bytes_get_u32(at + 16) == 0)
            continue;
        rows[count].h = index_db_first_half(at);
        rows[count].rest = index_db_second_half(at);
        rows[count++].place = n << 16 | i;
    }
    qsort(rows, count, sizeof(*rows), compare_rows);
    for (size_t i = 0; i < count && err->code == ERR_OK; i++) {
        sqlite3_bind_int64(s, 1, rows[i].h);
        sqlite3_bind_int64(s, 2, rows[i].rest);
        sqlite3_bind_int64(s, 3, rows[i].place);
        index_db_step(db, CHUNK_PUT, err);
        sqlite3_reset(s);
    }
}

static bool pack_is_there(struct index_db *db, const struct id16 *id,
                          struct err *err)
{
    sqlite3_stmt *s = db->query[PACK_BY_ID];
    bool there;

    index_db_bind_id(s, 1, id);
    there = index_db_step(db, PACK_BY_ID, err);
    sqlite3_reset(s);
    return there;
}

/* memory: rows, ids and marks of a pack, in one piece. */
static void add_pack(struct index_db *db, const struct index_entry *e,
                     uint8_t *memory, struct err *err)
{
    sqlite3_stmt *s = db->query[PACK_PUT];
    uint32_t slots = e->pack.slots;
    struct row *rows = (struct row *)(void *)memory;
    uint8_t *ids = memory + slots * sizeof(*rows);
    uint8_t *marks = ids + (size_t)slots * 16;

    memset(marks, 0, slots / 8 + 1);
    for (uint32_t i = 0; i < slots; i++)
        memcpy(ids + (size_t)i * 16, e->entries + (size_t)i * PACK_LAYOUT_ENTRY,
               16);
    mark_condemned(db, e, marks, err);
    if (err->code != ERR_OK)
        return;
    index_db_bind_id(s, 1, &e->pack.id);
    index_db_bind_id(s, 2, &e->pack.key_id);
    sqlite3_bind_int(s, 3, e->pack.kind);
    sqlite3_bind_int64(s, 4, slots);
    sqlite3_bind_blob(s, 5, ids, (int)slots * 16, SQLITE_STATIC);
    index_db_step(db, PACK_PUT, err);
    sqlite3_reset(s);
    sqlite3_clear_bindings(s); /* nothing may point to our memory */
    if (err->code == ERR_OK)
        put_chunks(db, e, sqlite3_last_insert_rowid(db->sql), rows, marks, err);
}

void index_add_packs(struct index_db *db, struct index_op *op)
{
    uint8_t *memory;
    size_t most = 0;

    for (size_t i = 0; i < op->count; i++)
        if (op->entries[i].pack.slots > most)
            most = op->entries[i].pack.slots;
    memory = malloc(most * (sizeof(struct row) + 16) + most / 8 + 1);
    if (!memory) {
        err_set(&op->err, ERR_NOMEM, 0, "index %s", db->path);
        return;
    }
    for (size_t i = 0; i < op->count && op->err.code == ERR_OK; i++)
        if (!pack_is_there(db, &op->entries[i].pack.id, &op->err) &&
            op->err.code == ERR_OK)
            add_pack(db, &op->entries[i], memory, &op->err);
    free(memory);
    if (op->name && op->err.code == ERR_OK) {
        sqlite3_bind_text(db->query[RUN_PUT], 1, op->name, -1, SQLITE_STATIC);
        index_db_step(db, RUN_PUT, &op->err);
        sqlite3_reset(db->query[RUN_PUT]);
    }
}

/* Rows that point to a condemned slot go; those of another pack stay. */
static void drop_chunks(struct index_db *db, const struct index_condemned *c,
                        struct err *err)
{
    sqlite3_stmt *ids = db->query[PACK_IDS], *drop = db->query[CHUNK_DROP];
    int64_t count = c->count ? c->count : PACK_LAYOUT_SLOTS_MAX;

    index_db_bind_id(ids, 1, &c->pack_id);
    sqlite3_bind_int64(ids, 2, 1 + 16 * (int64_t)c->first);
    sqlite3_bind_int64(ids, 3, 16 * count);
    if (index_db_step(db, PACK_IDS, err)) {
        int64_t n = sqlite3_column_int64(ids, 0);
        const uint8_t *data = sqlite3_column_blob(ids, 1);
        int len = sqlite3_column_bytes(ids, 1);

        for (int i = 0; data && i < len / 16 && err->code == ERR_OK; i++) {
            sqlite3_bind_int64(drop, 1, index_db_first_half(data + 16 * i));
            sqlite3_bind_int64(drop, 2, index_db_second_half(data + 16 * i));
            sqlite3_bind_int64(drop, 3, n << 16 | (c->first + i));
            index_db_step(db, CHUNK_DROP, err);
            sqlite3_reset(drop);
        }
    }
    sqlite3_reset(ids);
}

void index_add_condemned(struct index_db *db, struct index_op *op)
{
    sqlite3_stmt *s = db->query[CONDEMNED_PUT];

    for (size_t i = 0; i < op->count && op->err.code == ERR_OK; i++) {
        const struct index_condemned *c = &op->condemned[i];

        index_db_bind_id(s, 1, &c->pack_id);
        sqlite3_bind_int64(s, 2, c->first);
        sqlite3_bind_int64(s, 3, c->count);
        index_db_step(db, CONDEMNED_PUT, &op->err);
        sqlite3_reset(s);
        if (op->err.code == ERR_OK && sqlite3_changes(db->sql) > 0)
            drop_chunks(db, c, &op->err);
    }
}
