/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/api_hide.h - what a tenant reads of a job does not tell where its
 * VMs run: pools are the provider's.
 */
#ifndef CAIRN_GATEWAY_API_HIDE_H
#define CAIRN_GATEWAY_API_HIDE_H

#include "base/buf.h"
#include "gateway/authz.h"
#include "tenants/catalog_job.h"
#include "tenants/catalog_pool.h"

/* Zeroed: nobody asked. */
struct api_hide {
    int64_t pool_id; /* whose hosts are known; 0: none yet */
    struct catalog_pool pool;
    struct buf text; /* of the last call */
};

/*
 * A text of this job as `who` may read it: for a tenant the names and addresses
 * of the pool's hosts, and the pool's name behind the word "pool", are left
 * out. Borrowed from `text`, or from `h` until the next call or
 * api_hide_fini(); NULL: no memory. On the lane.
 */
const char *api_hide_text(struct api_hide *h, const struct authz_who *who,
                          struct catalog *c, const struct catalog_job *job,
                          const char *text);

void api_hide_fini(struct api_hide *h);

#endif
