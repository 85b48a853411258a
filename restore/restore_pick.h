/* SPDX-License-Identifier: Apache-2.0 */
/*
 * restore/restore_pick.h - the points of the vault, and the one that the user
 * means.
 */
#ifndef CAIRN_RESTORE_RESTORE_PICK_H
#define CAIRN_RESTORE_RESTORE_PICK_H

#include "restore/restore_site.h"
#include "vault/points.h"

/* All points, to points_list_free(); NULL: site says why. Warns on standard
 * error of collection lists that could not be read. */
struct points_list *restore_pick_list(struct restore_site *site);

/* What follows the last '/' of a point's name. */
const char *restore_pick_id(const struct points_entry *e);

/* "shown", "removed", ... */
const char *restore_pick_state(const struct points_entry *e);

/* An id, a whole name, VM@latest, VM@DAY; NULL: site says why (no such point,
 * or several). */
const struct points_entry *restore_pick_one(struct restore_site *site,
                                            const struct points_list *list,
                                            const char *text);

/* The point itself, to point_free(); NULL: site says why. */
struct point *restore_pick_read(struct restore_site *site,
                                const struct points_entry *e);

#endif
