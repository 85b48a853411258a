/* SPDX-License-Identifier: Apache-2.0 */
/* restore/restore_disk.h - `cairn-restore disk`. */
#ifndef CAIRN_RESTORE_RESTORE_DISK_H
#define CAIRN_RESTORE_RESTORE_DISK_H

#include "restore/restore_site.h"

/* Write one disk of a point; site->exit and site->err tell. */
void restore_disk(struct restore_site *site, const struct restore_args *args);

#endif
