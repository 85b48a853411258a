/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "base/parse.h"
#include "tenants/catalog_db.h"
#include "tenants/catalog_job.h"

#define LOG_HEAD 200 /* lines that stay from the beginning */

/* At most CATALOG_JOB_LOG_TEXT bytes, cut between characters. */
static void line_cut(const char *text, char out[CATALOG_JOB_LOG_TEXT + 1])
{
    size_t len = strlen(text);

    if (len > CATALOG_JOB_LOG_TEXT) {
        len = CATALOG_JOB_LOG_TEXT;
        while (len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80)
            len--;
    }
    memcpy(out, text, len);
    out[len] = '\0';
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)out[i] < 0x20 || out[i] == 0x7f)
            out[i] = '?';
    if (!parse_utf8(out, len))
        for (size_t i = 0; i < len; i++)
            if ((unsigned char)out[i] >= 0x80)
                out[i] = '?';
}

enum err_code catalog_job_log_add(struct catalog *c, const char *id,
                                  const char *level, const char *text,
                                  struct err *err)
{
    char line[CATALOG_JOB_LOG_TEXT + 1];
    int64_t number = 0;
    enum err_code rc = catalog_db_begin_lazy(c, err);

    if (rc != ERR_OK)
        return rc;
    line_cut(text, line);
    rc = catalog_db_one(c, err, "", &number,
                        "SELECT coalesce(max(number), 0) + 1 FROM job_log"
                        " WHERE job_id = ?1",
                        "t", id);
    if (rc == ERR_OK)
        rc = catalog_db_change(c, err, "",
                               "UPDATE job SET change = change + 1"
                               " WHERE id = ?1", "t", id);
    if (rc == ERR_NOT_FOUND)
        rc = err_set(err, rc, 0, "no job '%.40s'", id);
    if (rc == ERR_OK)
        rc = catalog_db_exec(c, err,
                             "INSERT INTO job_log VALUES (?1, ?2, ?3, ?4, ?5)",
                             "tiitt", id, number, (int64_t)catalog_db_now(c),
                             level, line);
    if (rc == ERR_OK && number > CATALOG_JOB_LOG_MAX)
        rc = catalog_db_exec(c, err,
                             "DELETE FROM job_log WHERE job_id = ?1"
                             " AND number > ?2 AND number <= ?3",
                             "tii", id, (int64_t)LOG_HEAD,
                             number - CATALOG_JOB_LOG_MAX + LOG_HEAD);
    return catalog_db_end(c, rc, err);
}

enum err_code catalog_job_log_each(struct catalog *c, const char *id,
                                   uint64_t after, unsigned limit,
                                   catalog_job_line_fn *fn, void *ctx,
                                   struct err *err)
{
    struct sqlite3_stmt *stmt;
    enum err_code rc = ERR_OK;
    int step;

    if (after > INT64_MAX)
        return ERR_OK;
    stmt = catalog_db_query(c, err,
                            "SELECT number, at_ms, level, text FROM job_log"
                            " WHERE job_id = ?1 AND number > ?2"
                            " ORDER BY number LIMIT ?3",
                            "tii", id, (int64_t)after, (int64_t)limit);
    if (!stmt)
        return err->code;
    while ((step = catalog_db_next(c, stmt, err)) > 0) {
        struct catalog_job_line line;
        void *owned = NULL;
        struct catalog_db_row r = {.stmt = stmt, .owned = &owned};
        bool goes = false;

        line.number = catalog_db_u64(&r);
        line.at_ms = catalog_db_u64(&r);
        line.level = catalog_db_text(&r);
        line.text = catalog_db_text(&r);
        if (r.nomem)
            rc = err_set(err, ERR_NOMEM, 0, "log of job %s", id);
        else
            goes = fn(ctx, &line);
        catalog_db_release(&owned);
        if (!goes)
            break;
    }
    if (step < 0)
        rc = err->code;
    catalog_db_done(c, stmt);
    return rc;
}
