/* SPDX-License-Identifier: Apache-2.0 */
/*
 * vault/session_lists.h - LIST gc/ for a session: what is new goes into its
 * set, and with its objects and what they condemn into the local index.
 */
#ifndef CAIRN_VAULT_SESSION_LISTS_H
#define CAIRN_VAULT_SESSION_LISTS_H

#include "vault/session.h"

/* What the index has kept; done() later, unless the session fails first. */
void session_lists_load(struct session *s, void (*done)(struct session *s));

/* LIST gc/ and read what is new. A list that cannot be read fails the session.
 * info: of the LIST. */
void session_lists_read(struct session *s,
                        void (*done)(struct session *s,
                                     const struct store_info *info));
void session_lists_cancel(struct session *s);

#endif
