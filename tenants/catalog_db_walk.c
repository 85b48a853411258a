/* SPDX-License-Identifier: Apache-2.0 */
#include <stdio.h>
#include <string.h>

#include "base/parse.h"
#include "tenants/catalog_db.h"

int64_t catalog_db_limit(const struct catalog_page *page)
{
    unsigned limit = page->limit;

    if (limit < 1)
        limit = 1;
    return (limit > 1000 ? 1000 : limit) + (int64_t)1;
}

void catalog_db_walk_begin(struct catalog_db_walk *w, struct catalog *c,
                           struct catalog_page *page, struct err *err,
                           struct sqlite3_stmt *stmt)
{
    memset(w, 0, sizeof(*w));
    w->c = c;
    w->page = page;
    w->stmt = stmt;
    w->err = err;
    w->rc = stmt ? ERR_OK : err->code;
    page->next[0] = '\0';
}

bool catalog_db_walk_next(struct catalog_db_walk *w)
{
    int step;

    if (w->rc != ERR_OK)
        return false;
    step = catalog_db_next(w->c, w->stmt, w->err);
    if (step < 0)
        w->rc = w->err->code;
    if (step <= 0)
        return false;
    if ((int64_t)w->shown + 1 == catalog_db_limit(w->page)) {
        w->more = true;
        return false;
    }
    w->shown++;
    return true;
}

void catalog_db_walk_mark(struct catalog_db_walk *w, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    vsnprintf(w->last, sizeof(w->last), fmt, args);
    va_end(args);
}

void catalog_db_walk_nomem(struct catalog_db_walk *w)
{
    w->rc = err_set(w->err, ERR_NOMEM, 0, "catalog");
}

enum err_code catalog_db_walk_end(struct catalog_db_walk *w)
{
    if (w->rc == ERR_OK && w->more)
        memcpy(w->page->next, w->last, sizeof(w->last));
    catalog_db_done(w->c, w->stmt);
    return w->rc;
}

enum err_code catalog_db_cursor(const struct catalog_page *page,
                                int64_t otherwise, int64_t *out,
                                struct err *err)
{
    uint64_t n;

    *out = otherwise;
    if (!page->cursor || !page->cursor[0])
        return ERR_OK;
    if (!parse_u64(page->cursor, 0, INT64_MAX, &n))
        return err_set(err, ERR_ARGUMENT, 0, "cursor: not one of ours");
    *out = (int64_t)n;
    return ERR_OK;
}
