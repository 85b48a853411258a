/* SPDX-License-Identifier: Apache-2.0 */
/*
 * store/store.h - an object store as a vault sees it: names, bytes, uploads.
 *
 * A struct store is bound to one location (a folder, or bucket and prefix) and
 * to one loop; it is used on that loop's thread only. Names are those of
 * format.md section 1, relative to the location. Every operation is
 * asynchronous: _start functions return an operation, done() is called exactly
 * once in a later turn unless _start failed - also after store_op_cancel().
 * Retries, back-off and clock skew are the store's affair. An error names the
 * location, the object and the store's own words.
 */
#ifndef CAIRN_STORE_STORE_H
#define CAIRN_STORE_STORE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/err.h"
#include "loop/loop.h"

struct store;
struct store_op;

#define STORE_NAME_MAX 160 /* bytes of an object's name, with the NUL */
#define STORE_NAME_DEPTH 8 /* parts between slashes */
#define STORE_PART_BYTES ((uint64_t)16 << 20)

enum store_lock {
    STORE_LOCK_NONE,
    STORE_LOCK_GOVERNANCE,
    STORE_LOCK_COMPLIANCE
};

/* How an object is to be written. Zeroed: plainly. */
struct store_write {
    bool if_absent; /* only where the probe found it to work */
    enum store_lock lock;
    uint64_t retain_until_ms;  /* wall clock; with lock */
    const char *storage_class; /* NULL: the bucket's */
};

/* What the store said. Fields it did not say are zero or empty. */
struct store_info {
    uint64_t bytes;       /* of the object */
    uint64_t modified_ms; /* Last-Modified */
    uint64_t date_ms;     /* the store's clock when it answered */
    uint64_t retain_until_ms;
    char etag[80];
    char version[128];
};

struct store_entry {
    const char *name; /* relative to the location; borrowed */
    uint64_t bytes;
    uint64_t modified_ms;
};

/* Borrowed until it returns. info is never NULL, zeroed on failure. */
typedef void store_done_fn(void *ctx, const struct err *err,
                           const struct store_info *info);

/* Which bytes of an object. {0, 0, 0}: all of it. An offset at or behind the
 * end of an object that is not empty is ERR_PROTOCOL; a range that ends behind
 * it gives what there is. */
struct store_range {
    uint64_t offset;
    uint64_t length;   /* 0: to the end */
    uint64_t from_end; /* not 0: the last so many bytes (fewer if it has less);
                          offset and length are zero then */
};

struct store_put_opts {
    const char *name;
    const struct slice *body; /* the array is copied, bytes borrowed to done()*/
    size_t slices;
    const uint8_t *sha256; /* of the body, or NULL: computed by the store */
    struct store_write write;
    store_done_fn *done;
    void *ctx;
};

struct store_get_opts {
    const char *name;
    struct store_range range;
    /* First: info->bytes is the whole object's size. May be NULL. */
    void (*on_info)(void *ctx, const struct store_info *info);
    /* A piece in order, at most 256 KiB: take all of it (true) or nothing
     * (false) and store_op_resume() later. After a broken connection the store
     * goes on where it was: no byte comes twice. */
    bool (*on_data)(void *ctx, const uint8_t *data, size_t len);
    store_done_fn *done; /* ERR_NOT_FOUND, ERR_COLD, ERR_DENIED,
                            ERR_UNREACHABLE, ... */
    void *ctx;
};

struct store_list_opts {
    const char *prefix;      /* "points/", "" */
    const char *start_after; /* NULL or a name */
    /* Each entry in rising order of name (bytes). False ends the listing with
     * ERR_CANCELLED. */
    bool (*on_entry)(void *ctx, const struct store_entry *entry);
    store_done_fn *done; /* ERR_OK: followed to its last page */
    void *ctx;
};

struct store_name_opts {
    const char *name;
    store_done_fn *done;
    void *ctx;
};

struct store_retain_opts {
    const char *name;
    const char *version; /* NULL: the current one */
    enum store_lock lock;
    uint64_t retain_until_ms;
    store_done_fn *done;
    void *ctx;
};

/*
 * A multipart upload. create -> parts (numbers from 1, any order, several at
 * once) -> complete, or abort. Parts are STORE_PART_BYTES but for the last.
 */
struct store_upload;

struct store_upload_opts {
    const char *name;
    struct store_write write;
    /* The upload is ready, or NULL and why. */
    void (*created)(void *ctx, const struct err *err, struct store_upload *up);
    void *ctx;
};

struct store_part_opts {
    unsigned number;
    const struct slice *body; /* the array is copied, bytes borrowed to done()*/
    size_t slices;
    const uint8_t *sha256; /* of the part, or NULL */
    store_done_fn *done;
    void *ctx;
};

struct store_upload_entry {
    const char *name;
    const char *id;
    uint64_t begun_ms;
};

struct store_ops {
    enum err_code (*put)(struct store *, const struct store_put_opts *,
                         struct store_op **, struct err *);
    enum err_code (*get)(struct store *, const struct store_get_opts *,
                         struct store_op **, struct err *);
    enum err_code (*head)(struct store *, const struct store_name_opts *,
                          struct store_op **, struct err *);
    enum err_code (*remove)(struct store *, const struct store_name_opts *,
                            struct store_op **, struct err *);
    enum err_code (*list)(struct store *, const struct store_list_opts *,
                          struct store_op **, struct err *);
    enum err_code (*retain)(struct store *, const struct store_retain_opts *,
                            struct store_op **, struct err *);
    enum err_code (*upload)(struct store *, const struct store_upload_opts *,
                            struct store_op **, struct err *);
    enum err_code (*part)(struct store_upload *, const struct store_part_opts *,
                          struct store_op **, struct err *);
    enum err_code (*complete)(struct store_upload *, store_done_fn *, void *ctx,
                              struct store_op **, struct err *);
    enum err_code (*abort)(struct store_upload *, store_done_fn *, void *ctx,
                           struct store_op **, struct err *);
    enum err_code (*list_uploads)(
        struct store *, const char *prefix,
        bool (*on_upload)(void *ctx, const struct store_upload_entry *),
        store_done_fn *done, void *ctx, struct store_op **, struct err *);
    enum err_code (*abort_by_id)(struct store *, const char *name,
                                 const char *upload_id, store_done_fn *,
                                 void *ctx, struct store_op **, struct err *);
    void (*resume)(struct store_op *);
    void (*cancel)(struct store_op *);
    const char *(*upload_id)(const struct store_upload *);
    void (*free)(struct store *);
};

/* What the conformance probe found (or what a folder is known to do). */
struct store_traits {
    bool if_absent;      /* conditional PUT works */
    bool lists_at_once;  /* what was acknowledged is listed */
    bool lock_on_put;    /* retention travels with PUT */
    bool lock_on_create; /* ... and with CreateMultipartUpload */
    bool lock_by_call;   /* PutObjectRetention works */
    bool versioned;
};

/* Implementations embed this first and fill it in. */
struct store {
    const struct store_ops *ops;
    struct loop *loop;
    struct store_traits traits;
    char location[256];     /* for messages: "s3://bucket/prefix at host" */
    uint64_t requests;      /* sent so far, retries counted; for the figures */
    uint64_t list_requests; /* of these, listings */
    uint64_t strays; /* uploads that created() could not tell of, but which may
                        be there: counted before it is called */
    uint64_t sent_bytes, received_bytes; /* of bodies */
    /* Requests fail and are tried again since then (monotonic clock), and none
     * came through; 0: it answers, or cannot tell (a folder). */
    uint64_t down_since_ms;
};

/* Embedded first in every implementation's operation. */
struct store_op {
    struct store *store;
};
/* Embedded first in every implementation's upload. Gone after the done() of a
 * successful complete or of an abort; a failed complete may be repeated or
 * aborted. */
struct store_upload {
    struct store *store;
};

/* Wrappers: as the functions of store_ops; *out may be NULL. To remove what is
 * not there, or abort an upload that is gone, is no error: a repeated request
 * cannot tell. */
enum err_code store_put(struct store *s, const struct store_put_opts *opts,
                        struct store_op **out, struct err *err);
enum err_code store_get(struct store *s, const struct store_get_opts *opts,
                        struct store_op **out, struct err *err);
enum err_code store_head(struct store *s, const struct store_name_opts *opts,
                         struct store_op **out, struct err *err);
enum err_code store_remove(struct store *s, const struct store_name_opts *opts,
                           struct store_op **out, struct err *err);
enum err_code store_list(struct store *s, const struct store_list_opts *opts,
                         struct store_op **out, struct err *err);
enum err_code store_retain(struct store *s,
                           const struct store_retain_opts *opts,
                           struct store_op **out, struct err *err);
enum err_code store_upload_create(struct store *s,
                                  const struct store_upload_opts *opts,
                                  struct store_op **out, struct err *err);
enum err_code store_upload_part(struct store_upload *up,
                                const struct store_part_opts *opts,
                                struct store_op **out, struct err *err);
enum err_code store_upload_complete(struct store_upload *up,
                                    store_done_fn *done, void *ctx,
                                    struct store_op **out, struct err *err);
enum err_code store_upload_abort(struct store_upload *up, store_done_fn *done,
                                 void *ctx, struct store_op **out,
                                 struct err *err);
/* The store's own id, to be noted in a journal. */
const char *store_upload_id(const struct store_upload *up);

struct store_list_uploads_opts {
    const char *prefix; /* of names; "" */
    /* As on_entry(); rising by name. */
    bool (*on_upload)(void *ctx, const struct store_upload_entry *entry);
    store_done_fn *done;
    void *ctx;
};

/* Unfinished uploads; in a folder every file under tmp/, also of puts. */
enum err_code store_list_uploads(struct store *s,
                                 const struct store_list_uploads_opts *opts,
                                 struct store_op **out, struct err *err);

/* Abort an upload that an earlier process began. upload_id "": whatever is open
 * under this name, because the answer of a create was lost. */
enum err_code store_upload_abort_by_id(struct store *s, const char *name,
                                       const char *upload_id,
                                       store_done_fn *done, void *ctx,
                                       struct store_op **out, struct err *err);

/* Whether a store takes this name: 1 to 8 parts of [A-Za-z0-9._-] between
 * slashes, none beginning with a dot, the first not "tmp". */
bool store_name_ok(const char *name);

/* After on_data() said false; never from inside it. */
void store_op_resume(struct store_op *op);
/* done() gets ERR_CANCELLED later, or the result if that came first. Also from
 * inside on_info(), on_data(), on_entry() and on_upload(). */
void store_op_cancel(struct store_op *op);

/* No operation or upload may be under way. */
void store_free(struct store *s);

/*
 * Fetch a whole small object into memory. max bounds it (ERR_PROTOCOL).
 * done() gets the bytes, borrowed; data is NULL on failure.
 */
enum err_code store_fetch(struct store *s, const char *name, uint64_t max,
                          struct store_range range,
                          void (*done)(void *ctx, const struct err *err,
                                       const uint8_t *data, size_t len,
                                       const struct store_info *info),
                          void *ctx, struct store_op **out, struct err *err);

#endif
