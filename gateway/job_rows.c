/* SPDX-License-Identifier: Apache-2.0 */
#include "gateway/job_rows.h"

#include <stdlib.h>
#include <string.h>

struct job_row {
    struct job_rows *rows;
    struct job_row *next;
    const char *kind;
    int64_t row;
    void (*done)(void *ctx, void *ticket, const struct err *err);
    void *ctx, *ticket;
    char name[];
};

static struct job_row **link_of(struct job_rows *rows, const char *kind,
                                const char *name)
{
    struct job_row **link = &rows->first;

    while (*link && (strcmp((*link)->kind, kind) != 0 ||
                     strcmp((*link)->name, name) != 0))
        link = &(*link)->next;
    return link;
}

static void on_noted(void *ctx, const struct err *err, int64_t id)
{
    struct job_row *row = ctx;
    void (*done)(void *, void *, const struct err *) = row->done;
    void *done_ctx = row->ctx, *ticket = row->ticket;

    row->row = id;
    if (err->code != ERR_OK) {
        struct job_row **link = &row->rows->first;

        while (*link != row)
            link = &(*link)->next;
        *link = row->next;
        free(row);
    }
    done(done_ctx, ticket, err);
}

void job_rows_open(struct job_rows *rows, const char *kind, const char *name,
                   void (*done)(void *ctx, void *ticket,
                                const struct err *err),
                   void *ctx, void *ticket)
{
    size_t size = strlen(name) + 1;
    struct job_row *row = calloc(1, sizeof(*row) + size);
    struct job_note note = {
        .kind = kind, .ref = "", .done = on_noted, .ctx = row};

    if (!row) {
        const struct err err = {.code = ERR_NOMEM, .text = "journal"};

        done(ctx, ticket, &err);
        return;
    }
    row->rows = rows;
    row->kind = kind;
    row->done = done;
    row->ctx = ctx;
    row->ticket = ticket;
    memcpy(row->name, name, size);
    row->next = rows->first;
    rows->first = row;
    note.detail = row->name;
    job_note_open(rows->job, &note);
}

void job_rows_named(struct job_rows *rows, const char *name, const char *id)
{
    struct job_row *row = *link_of(rows, "upload", name);

    if (row)
        job_note_update(rows->job, row->row, id, NULL);
}

void job_rows_close(struct job_rows *rows, const char *kind, const char *name)
{
    struct job_row **link = link_of(rows, kind, name);
    struct job_row *row = *link;

    if (!row)
        return;
    *link = row->next;
    job_note_close(rows->job, row->row);
    free(row);
}

int64_t job_rows_find(const struct job_rows *rows, const char *kind,
                      const char *name)
{
    struct job_row *row = rows->first;

    while (row &&
           (strcmp(row->kind, kind) != 0 || strcmp(row->name, name) != 0))
        row = row->next;
    return row ? row->row : 0;
}

void job_rows_fini(struct job_rows *rows)
{
    while (rows->first) {
        struct job_row *row = rows->first;

        rows->first = row->next;
        free(row);
    }
}
