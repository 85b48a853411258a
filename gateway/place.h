/* SPDX-License-Identifier: Apache-2.0 */
/*
 * gateway/place.h - where a vault lies, as values from which any loop makes a
 * struct store of its own.
 *
 * Immutable and counted; any thread. Credentials are wiped with the last
 * reference.
 */
#ifndef CAIRN_GATEWAY_PLACE_H
#define CAIRN_GATEWAY_PLACE_H

#include "base/err.h"
#include "crypto/seal_suite.h"
#include "loop/lane.h"
#include "loop/loop.h"
#include "net/http_client.h"
#include "store/store.h"

struct place;

struct place_opts {
    const char *url;         /* file:///srv/x, s3://bucket/prefix */
    const char *endpoint;    /* "": AWS, by region */
    const char *region;      /* "" */
    const char *ca_pem;      /* "": the system's CAs */
    const char *credentials; /* credentials file's text; "" */
    const char *traits;      /* of place_traits_print(); "" or NULL: nothing is
                                taken for granted. A folder's are known */
    uint64_t request_ms;     /* deadline of one store request */
    uint64_t retry_ms;       /* how long it is tried again */
    bool known;              /* a vault was there: if nobody answers, that
                                passes; a folder without it is ERR_REMOTE with
                                404, from any operation */
    const struct seal_suite *suite; /* outlives the place */
};

/* ERR_ARGUMENT (what is wrong with the URL), ERR_NOMEM, ERR_IO. */
enum err_code place_new(const struct place_opts *opts, struct place **out,
                        struct err *err);
struct place *place_ref(struct place *p);
void place_unref(struct place *p);

/* A store on this loop, which has looked at nothing yet: that there is no such
 * folder its first operation says. ERR_NOMEM, ERR_ARGUMENT. client: of the
 * loop. */
enum err_code place_store(struct place *p, struct loop *loop,
                          struct http_client *client, struct store **out,
                          struct err *err);

/* Free one that place_store() made; what it learnt of the store's clock stays. */
void place_store_free(struct place *p, struct store *s);

/* The store's clock minus ours, as far as a request was refused for it and
 * signed anew; 0: nobody minded. */
int64_t place_skew_ms(const struct place *p);

/* "file:///srv/x", "s3://bucket/prefix at endpoint": for messages. */
const char *place_text(const struct place *p);

bool place_is_s3(const struct place *p);

/* What a probe found, as words for the catalog: "if-absent versioned"; "none"
 * when it found nothing. */
#define PLACE_TRAITS_TEXT 120
void place_traits_print(const struct store_traits *t,
                        char out[PLACE_TRAITS_TEXT]);

/*
 * Whether the configuration's allowed_locations permit it (empty: all). Each
 * word is a URL whose paths below it are allowed, or with a '*' at its end a
 * mere prefix; "@ENDPOINT" behind it allows it at that endpoint alone.
 */
bool place_allowed(const char *allowed, const char *url, const char *endpoint);

#endif
