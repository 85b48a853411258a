/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3/s3_object.h - objects: put, head, remove, retention. (Reading is s3_get.)
 *
 * Every call begins an operation on the client's loop; done() is called exactly
 * once in a later turn unless the call failed (ERR_ARGUMENT, ERR_NOMEM,
 * ERR_AGAIN).
 */
#ifndef CAIRN_S3_S3_OBJECT_H
#define CAIRN_S3_S3_OBJECT_H

#include "s3/s3_request.h"

/* What an answer's headers say; what they do not say is zero or empty. */
struct s3_object_info {
    uint64_t bytes; /* of the object */
    uint64_t modified_ms;
    uint64_t date_ms; /* the server's clock */
    uint64_t retain_until_ms;
    char lock_mode[16]; /* "GOVERNANCE", "COMPLIANCE" or "" */
    char etag[80];
    char version[128];
};

/* info is never NULL; zeroed on failure. */
typedef void s3_object_done_fn(void *ctx, const struct err *err,
                               const struct s3_object_info *info);

/* How an object is to be written. Zeroed: plainly. */
struct s3_object_write {
    bool if_absent;        /* If-None-Match: * */
    const char *lock_mode; /* NULL, "GOVERNANCE", "COMPLIANCE" */
    uint64_t retain_until_ms;
    const char *storage_class; /* NULL: the bucket's */
};

#define S3_OBJECT_WRITE_HEADERS 4

/* The headers for it, at most S3_OBJECT_WRITE_HEADERS; until gets the date
 * that they point to. Returns how many. */
size_t s3_object_write_headers(const struct s3_object_write *w,
                               struct http_header *out, char until[32]);

/* Content-Length, ETag and the others as a struct. */
void s3_object_read_info(const struct http_response *r,
                         struct s3_object_info *info);

struct s3_object_op;

struct s3_object_put_opts {
    const char *key;
    const struct slice *body; /* the array is copied, bytes borrowed to done()*/
    size_t slices;
    const uint8_t *sha256; /* or NULL */
    struct s3_object_write write;
    s3_object_done_fn *done; /* ERR_CONFLICT: if_absent, and it exists */
    void *ctx;
};

/* With if_absent a repeated PUT may find its own deed: then the object's size
 * and ETag decide. Objects with a lock carry a checksum, which S3 asks for. */
enum err_code s3_object_put(struct s3_client *c,
                            const struct s3_object_put_opts *opts,
                            struct s3_object_op **out, struct err *err);

struct s3_object_name {
    const char *key;
    const char *version; /* NULL: the newest */
};

enum err_code s3_object_head(struct s3_client *c,
                             const struct s3_object_name *name,
                             s3_object_done_fn *done, void *ctx,
                             struct s3_object_op **out, struct err *err);

/* That it is not there is no error (S3 does not tell). */
enum err_code s3_object_remove(struct s3_client *c,
                               const struct s3_object_name *name,
                               s3_object_done_fn *done, void *ctx,
                               struct s3_object_op **out, struct err *err);

struct s3_object_remove_many_opts {
    const char *const *keys; /* copied */
    size_t count;            /* 1 to 1,000 */
    /* Before done(): a key that stays, and why. */
    void (*on_refused)(void *ctx, const char *key, const char *code,
                       const char *message);
    s3_object_done_fn *done; /* ERR_OK also when some were refused */
    void *ctx;
};

enum err_code
s3_object_remove_many(struct s3_client *c,
                      const struct s3_object_remove_many_opts *opts,
                      struct s3_object_op **out, struct err *err);

/* Set retention. mode: "GOVERNANCE" or "COMPLIANCE". */
enum err_code s3_object_retain(struct s3_client *c,
                               const struct s3_object_name *name,
                               const char *mode, uint64_t until_ms,
                               s3_object_done_fn *done, void *ctx,
                               struct s3_object_op **out, struct err *err);

/* Read retention back: info->lock_mode and retain_until_ms; an object without
 * it is a success with both empty. */
enum err_code s3_object_retention(struct s3_client *c,
                                  const struct s3_object_name *name,
                                  s3_object_done_fn *done, void *ctx,
                                  struct s3_object_op **out, struct err *err);

/* The bucket's versioning: info->version becomes "Enabled", "Suspended" or "".
 */
enum err_code s3_object_versioning(struct s3_client *c, s3_object_done_fn *done,
                                   void *ctx, struct s3_object_op **out,
                                   struct err *err);

/* done() gets ERR_CANCELLED later, or the result if that came first. */
void s3_object_cancel(struct s3_object_op *op);

#endif
