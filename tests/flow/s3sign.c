/* SPDX-License-Identifier: Apache-2.0 */
/*
 * s3sign - the signer alone, for comparing with others: one JSON object per
 * line in, {"path", "query", "authorization"} out.
 */
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/bytes.h"
#include "base/json.h"
#include "s3/s3_sign.h"

#define PARAMS_MAX 16

static const char *text(const struct json *j, const char *key)
{
    return json_text(json_get(j, key), "");
}

static size_t read_params(const struct json *list,
                          struct s3_sign_param out[PARAMS_MAX])
{
    size_t n = json_count(list);

    for (size_t i = 0; i < n && i < PARAMS_MAX; i++) {
        const struct json *pair = json_at(list, i);

        out[i].name = json_text(json_at(pair, 0), "");
        out[i].value = json_text(json_at(pair, 1), NULL);
    }
    return n;
}

static size_t read_headers(const struct json *list,
                           struct http_header out[S3_SIGN_HEADERS_MAX])
{
    size_t n = json_count(list);

    for (size_t i = 0; i < n && i < S3_SIGN_HEADERS_MAX; i++) {
        const struct json *pair = json_at(list, i);

        out[i].name = json_text(json_at(pair, 0), "");
        out[i].value = json_text(json_at(pair, 1), "");
    }
    return n;
}

static void print(struct buf *path, struct buf *query,
                  struct buf *authorization)
{
    struct json *j = json_new_object();
    char *line;

    json_set_text(j, "path", buf_text(path));
    json_set_text(j, "query", buf_text(query));
    json_set_text(j, "authorization", buf_text(authorization));
    line = json_dump(j, false, NULL);
    puts(line ? line : "{}");
    free(line);
    json_free(j);
}

static bool sign_one(const struct seal_suite *suite, const struct json *j)
{
    struct s3_sign_param params[PARAMS_MAX];
    struct http_header headers[S3_SIGN_HEADERS_MAX];
    struct s3_sign_request r = {
        .method = text(j, "method"),
        .headers = headers,
        .payload = text(j, "payload"),
        .wall_ms = (uint64_t)json_int(json_get(j, "time_ms"), 0)};
    struct buf path, query, authorization;
    struct s3_signer *signer = NULL;
    struct err err;
    size_t count = read_params(json_get(j, "query"), params);
    bool ok;

    r.header_count = read_headers(json_get(j, "headers"), headers);
    buf_init(&path, 16 * KIB);
    buf_init(&query, 16 * KIB);
    buf_init(&authorization, 16 * KIB);
    buf_add_text(&path, "/");
    s3_sign_encode_path(&path, text(j, "key"));
    s3_sign_query(&query, params, count);
    r.path = buf_text(&path);
    r.query = buf_text(&query);
    ok = s3_signer_new(suite, text(j, "access"), text(j, "secret"), NULL,
                       text(j, "region"), "s3", &signer, &err) == ERR_OK &&
         s3_sign(signer, &r, &authorization, &err) == ERR_OK;
    if (ok)
        print(&path, &query, &authorization);
    else
        fprintf(stderr, "s3sign: %s\n", err.text);
    s3_signer_free(signer);
    buf_fini(&path);
    buf_fini(&query);
    buf_fini(&authorization);
    return ok;
}

int main(void)
{
    struct seal_suite *suite;
    char *line = NULL;
    size_t room = 0;
    struct err err;
    ssize_t len;
    bool ok = true;

    if (seal_suite_new(&suite, &err) != ERR_OK)
        return 1;
    while (ok && (len = getline(&line, &room, stdin)) > 0) {
        struct json *j;

        ok = json_parse(line, (size_t)len, &j, &err) == ERR_OK;
        if (!ok) {
            fprintf(stderr, "s3sign: %s\n", err.text);
            break;
        }
        ok = sign_one(suite, j);
        json_free(j);
    }
    free(line);
    seal_suite_free(suite);
    return ok ? 0 : 1;
}
