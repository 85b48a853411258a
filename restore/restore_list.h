/* SPDX-License-Identifier: Apache-2.0 */
/* restore/restore_list.h - `cairn-restore list`. */
#ifndef CAIRN_RESTORE_RESTORE_LIST_H
#define CAIRN_RESTORE_RESTORE_LIST_H

#include "restore/restore_site.h"

/* Prints to standard output; site->exit and site->err tell. */
void restore_list(struct restore_site *site, const struct restore_args *args);

#endif
