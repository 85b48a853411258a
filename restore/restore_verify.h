/* SPDX-License-Identifier: Apache-2.0 */
/* restore/restore_verify.h - `cairn-restore verify`. */
#ifndef CAIRN_RESTORE_RESTORE_VERIFY_H
#define CAIRN_RESTORE_RESTORE_VERIFY_H

#include "restore/restore_site.h"

/* Prints findings to standard output. EXIT_DAMAGE when there are any. */
void restore_verify(struct restore_site *site, const struct restore_args *args);

#endif
