/* SPDX-License-Identifier: Apache-2.0 */
/*
 * xenapi/xenapi_ticket.h - the right to do one transfer with a pool, on any
 * loop.
 *
 * Whoever has a ticket can make the transfer it was issued for without asking
 * the session again: it holds the path, the cookie, and of each member of the
 * pool where to connect and whom to trust. Immutable, counted; any thread. Its
 * secrets are wiped with it.
 */
#ifndef CAIRN_XENAPI_XENAPI_TICKET_H
#define CAIRN_XENAPI_XENAPI_TICKET_H

struct xenapi_ticket;

struct xenapi_ticket *xenapi_ticket_hold(struct xenapi_ticket *t);
void xenapi_ticket_drop(struct xenapi_ticket *t); /* NULL is fine */

#endif
