/* SPDX-License-Identifier: Apache-2.0 */
/*
 * net/http_host.h - the hosts that a client talks to, for http_client.c alone.
 *
 * One host and port: its transfers are counted and wait here. libcurl would
 * queue them too, but then a deadline for connecting would run meanwhile.
 */
#ifndef CAIRN_NET_HTTP_HOST_H
#define CAIRN_NET_HTTP_HOST_H

struct http_transfer;

struct http_list {
    struct http_transfer *head, *tail;
};

struct http_host {
    struct http_host *next;
    char *place;
    unsigned running;
    struct http_list waiting;
};

/* That of a place, made if need be; NULL: no memory. */
struct http_host *http_host_get(struct http_host **all, const char *place);

/* Free it if nothing runs there and nothing waits. */
void http_host_drop(struct http_host **all, struct http_host *h);

#endif
