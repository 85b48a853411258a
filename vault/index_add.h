/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/index_add.h - packs that come into the index, and chunks that leave it.
 * On the index lane only.
 */
#ifndef CAIRN_VAULT_INDEX_ADD_H
#define CAIRN_VAULT_INDEX_ADD_H

#include "vault/index_db.h"

/* INDEX_ADD and INDEX_CONDEMN, inside a transaction. */
void index_add_packs(struct index_db *db, struct index_op *op);
void index_add_condemned(struct index_db *db, struct index_op *op);

#endif
