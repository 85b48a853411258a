/* SPDX-License-Identifier: Apache-2.0 */
#include "tenants/catalog_db.h"

enum err_code catalog_db_remove_idle(struct catalog *c, int64_t id,
                                     const struct catalog_db_removal *r,
                                     struct err *err)
{
    int64_t busy = 0;
    enum err_code rc = catalog_begin(c, err);

    if (rc != ERR_OK)
        return rc;
    rc = catalog_db_one(c, err, "", &busy, r->busy, "i", id);
    if (rc == ERR_OK && busy > 0)
        rc = err_set(err, ERR_CONFLICT, 0,
                     "the %s is used by jobs that are not finished", r->what);
    if (rc == ERR_OK)
        rc = catalog_db_change(c, err, "no such row", r->remove, "i", id);
    if (rc == ERR_NOT_FOUND)
        err_set(err, rc, 0, "no such %s", r->what);
    return catalog_db_end(c, rc, err);
}
