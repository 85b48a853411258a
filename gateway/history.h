/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/history.h - jobs that ended long ago are forgotten, with their logs,
 * and so are old audit lines, so that the catalog does not grow for ever. Jobs
 * that left something behind stay until it is gone. Control loop only.
 */
#ifndef CAIRN_GATEWAY_HISTORY_H
#define CAIRN_GATEWAY_HISTORY_H

#include "gateway/engine.h"

struct history;

/* Looks for the first time soon, then once an hour. ERR_NOMEM. */
enum err_code history_new(struct engine *e, struct history **out,
                          struct err *err);

/* Look no more; closed() when nothing is under way, perhaps at once. */
void history_close(struct history *h, void (*closed)(void *ctx), void *ctx);

/* Nothing may be under way. */
void history_free(struct history *h);

#endif
