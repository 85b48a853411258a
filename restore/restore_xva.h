/* SPDX-License-Identifier: Apache-2.0 */
/* restore/restore_xva.h - `cairn-restore xva`. */
#ifndef CAIRN_RESTORE_RESTORE_XVA_H
#define CAIRN_RESTORE_RESTORE_XVA_H

#include "restore/restore_site.h"

/* Write a point as an XVA; site->exit and site->err tell. */
void restore_xva(struct restore_site *site, const struct restore_args *args);

#endif
