/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/cli_http.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/cli_input.h"
#include "cli/cli_out.h"
#include "loop/loop.h"
#include "net/http_client.h"

#define DEFAULT_SERVER "/run/cairn/cairnd.sock"
#define ANSWER_MAX (64 * 1024 * 1024)
#define CONNECT_MS 15000
#define ANSWER_MS 900000 /* creating a vault or reading one's points is long */

struct cli_http {
    struct loop *loop;
    struct http_client *client;
    struct http_trust *trust;
    char *unix_path; /* or */
    char *base;      /* "https://host:port" */
    char *bearer;    /* "Bearer cairn-..."; NULL: none */
    char *server;    /* as it was said */
    bool json;       /* answers are for a program */
    uv_signal_t interrupt;
    bool signal_open;

    /* Of the request under way. */
    struct http_transfer *transfer;
    struct cli_answer *answer;
    const struct cli_http_sink *sink;
    struct buf body;
    struct err err;
    bool streaming; /* a 200 whose body goes to the sink */
    bool sink_failed;
    bool interrupted;
    bool done;
};

static void on_interrupt(uv_signal_t *handle, int number)
{
    struct cli_http *h = handle->data;

    (void)number;
    h->interrupted = true;
    if (h->transfer)
        http_transfer_cancel(h->transfer);
}

static enum err_code http_set_server(struct cli_http *h, const char *server,
                                     const char *ca_path, struct err *err)
{
    struct buf pem;
    enum err_code rc;

    h->server = strdup(server);
    if (!h->server)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    if (server[0] == '/') {
        h->unix_path = strdup(server);
        return h->unix_path ? ERR_OK
                            : err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    if (strncmp(server, "https://", 8) != 0 || strchr(server + 8, '/'))
        return err_set(err, ERR_ARGUMENT, 0,
                       "server '%.200s': wanted the path of a socket or "
                       "https://HOST:PORT",
                       server);
    h->base = strdup(server);
    if (!h->base)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    if (!ca_path)
        return http_trust_system(&h->trust, err);
    buf_init(&pem, 1024 * 1024);
    rc = cli_input_file(ca_path, &pem, err);
    if (rc == ERR_OK)
        rc = http_trust_ca(buf_text(&pem), &h->trust, err);
    buf_fini(&pem);
    return rc;
}

static enum err_code http_set_token(struct cli_http *h, const char *path,
                                    struct err *err)
{
    struct buf text;
    enum err_code rc;

    if (!path)
        return ERR_OK;
    buf_init_secret(&text, 4096);
    rc = cli_input_secret(path, &text, err);
    if (rc == ERR_OK &&
        asprintf(&h->bearer, "Bearer %s", buf_text(&text)) < 0) {
        h->bearer = NULL;
        rc = err_set(err, ERR_NOMEM, 0, "out of memory");
    }
    buf_fini(&text);
    return rc;
}

enum err_code cli_http_new(const struct cli_args *args, struct cli_http **out,
                           struct err *err)
{
    const char *server = cli_args_get(args, "server");
    struct cli_http *h = calloc(1, sizeof(*h));
    enum err_code rc;

    if (!h)
        return err_set(err, ERR_NOMEM, 0, "out of memory");
    if (!server)
        server = getenv("CAIRN_SERVER");
    if (!server || !server[0])
        server = DEFAULT_SERVER;
    h->json = cli_args_has(args, "json");
    rc = http_client_setup(err);
    if (rc == ERR_OK)
        rc = http_set_server(h, server, cli_args_get(args, "server-ca"), err);
    if (rc == ERR_OK)
        rc = http_set_token(h, cli_args_get(args, "token-file"), err);
    if (rc == ERR_OK)
        rc = loop_new("cairn", NULL, &h->loop, err);
    if (rc == ERR_OK)
        rc = http_client_new(h->loop, 2, &h->client, err);
    if (rc == ERR_OK) {
        uv_signal_init(loop_uv(h->loop), &h->interrupt);
        h->interrupt.data = h;
        h->signal_open = true;
        *out = h;
    } else {
        cli_http_free(h);
    }
    return rc;
}

void cli_http_free(struct cli_http *h)
{
    if (!h)
        return;
    if (h->client)
        http_client_free(h->client);
    if (h->signal_open) {
        uv_close((uv_handle_t *)&h->interrupt, NULL);
        loop_stop(h->loop);
        loop_run(h->loop);
    }
    if (h->loop)
        loop_free(h->loop);
    http_trust_drop(h->trust);
    if (h->bearer)
        bytes_wipe(h->bearer, strlen(h->bearer));
    free(h->bearer);
    free(h->unix_path);
    free(h->base);
    free(h->server);
    free(h);
}

void cli_answer_fini(struct cli_answer *a)
{
    json_free(a->doc);
    a->doc = NULL;
}

static bool on_head(void *ctx, const struct http_response *r)
{
    struct cli_http *h = ctx;
    const char *job = http_response_header(r, "Cairn-Job");

    h->answer->status = r->status;
    h->streaming = h->sink && r->status == 200;
    if (h->streaming)
        h->sink->begin(h->sink->ctx, job ? job : "", r->length);
    return true;
}

static bool on_body(void *ctx, const uint8_t *data, size_t len)
{
    struct cli_http *h = ctx;

    if (!h->streaming) {
        buf_add(&h->body, data, len);
        return true;
    }
    if (!h->sink_failed && !h->sink->piece(h->sink->ctx, data, len)) {
        h->sink_failed = true;
        http_transfer_cancel(h->transfer);
    }
    return true;
}

static void on_done(void *ctx, const struct err *err,
                    const struct http_response *r)
{
    struct cli_http *h = ctx;

    (void)r;
    h->transfer = NULL;
    h->err = *err;
    h->done = true;
    loop_stop(h->loop);
}

static enum err_code http_start(struct cli_http *h, const char *method,
                                const char *path, const struct slice *body,
                                struct err *err)
{
    struct http_header headers[2];
    struct http_transfer_opts opts = {
        .method = method,
        .headers = headers,
        .trust = h->trust,
        .unix_path = h->unix_path,
        .body = body,
        .body_slices = body->len ? 1 : 0,
        .connect_ms = CONNECT_MS,
        .first_byte_ms = ANSWER_MS,
        .on_head = on_head,
        .on_body = on_body,
        .done = on_done,
        .ctx = h,
    };
    struct buf url;
    enum err_code rc;

    if (body->len)
        headers[opts.header_count++] =
            (struct http_header){"Content-Type", "application/json"};
    if (h->bearer)
        headers[opts.header_count++] =
            (struct http_header){"Authorization", h->bearer};
    buf_init(&url, 64 * 1024);
    buf_addf(&url, "%s/api/v1%s", h->base ? h->base : "http://cairn", path);
    opts.url = buf_text(&url);
    if (!opts.url)
        rc = err_set(err, ERR_ARGUMENT, 0, "the request is too long");
    else
        rc = http_transfer_start(h->client, &opts, &h->transfer, err);
    buf_fini(&url);
    return rc;
}

/* Of a socket the library tells as if it were a host called cairn. */
static const char *why_unreachable(const struct cli_http *h)
{
    if (!h->unix_path)
        return h->err.text;
    return access(h->unix_path, F_OK) < 0 ? strerror(errno)
                                          : "nobody listens there";
}

/* No answer: say what to do about it. */
static void answer_failed(struct cli_http *h, struct cli_answer *out)
{
    out->err = h->err;
    if (h->interrupted) {
        out->interrupted = true;
        out->exit = EXIT_INTERRUPTED;
        err_set(&out->err, ERR_CANCELLED, 0, "interrupted");
        return;
    }
    out->exit = EXIT_AGAIN;
    if (out->status)
        return; /* broken off in the middle */
    if (h->unix_path && access(h->unix_path, W_OK) < 0 && errno == EACCES) {
        out->exit = EXIT_DENIED;
        err_set(&out->err, ERR_DENIED, 0,
                "%s: you may not use this socket; its group may",
                h->unix_path);
        return;
    }
    if (h->err.code != ERR_UNREACHABLE) {
        err_context(&out->err, "the connection to cairnd broke off");
        return;
    }
    err_set(&out->err, ERR_UNREACHABLE, 0,
            "no cairnd answers at %s (%s): %s", h->server,
            why_unreachable(h),
            !h->unix_path && strstr(h->err.text, "certificate")
                ? "--server-ca FILE names the CA that signed its certificate"
                : "is it running? Another one is named with --server or "
                  "$CAIRN_SERVER");
}

static void answer_problem(struct cli_answer *out)
{
    const struct json *doc = out->doc;
    const char *detail = json_text(json_get(doc, "detail"), "");
    int64_t exit = json_int(json_get(doc, "exit"), EXIT_FAILED);
    enum err_code code;

    if (!err_from_name(json_text(json_get(doc, "code"), ""), &code) ||
        code == ERR_OK)
        code = ERR_REMOTE;
    out->exit = exit_is_known((long)exit) && exit != 0
                    ? (enum exit_code)exit
                    : EXIT_FAILED;
    if (detail[0])
        err_set(&out->err, code, out->status, "%s", detail);
    else
        err_set(&out->err, code, out->status, "the server answered %d",
                out->status);
}

/* What is printed for a person, here and there, has nothing in it that a
 * terminal obeys. */
static bool answer_tame(struct cli_answer *out)
{
    struct json *tame = cli_out_tame(out->doc);

    if (!tame) {
        err_set(&out->err, ERR_NOMEM, 0, "out of memory");
        return false;
    }
    json_free(out->doc);
    out->doc = tame;
    return true;
}

static void http_finish(struct cli_http *h, struct cli_answer *out)
{
    struct err err;

    if (h->err.code != ERR_OK || h->interrupted) {
        answer_failed(h, out);
        return;
    }
    if (buf_failed(&h->body)) {
        out->exit = EXIT_FAILED;
        err_set(&out->err, ERR_PROTOCOL, 0, "the answer is too long");
        return;
    }
    if (h->body.len > 0 &&
        json_parse(h->body.data, h->body.len, &out->doc, &err) != ERR_OK &&
        out->status < 300) {
        out->exit = EXIT_FAILED;
        err_set(&out->err, ERR_PROTOCOL, 0, "the answer is not JSON: %s",
                err.text);
        return;
    }
    if (out->status < 200 || out->status > 299)
        answer_problem(out);
    else if (out->doc && !h->json && !answer_tame(out))
        out->exit = EXIT_FAILED;
}

void cli_http_stream(struct cli_http *h, const char *method, const char *path,
                     const struct json *body, const struct cli_http_sink *sink,
                     struct cli_answer *out)
{
    struct slice piece = {0};
    char *text = NULL;
    struct err err;

    memset(out, 0, sizeof(*out));
    if (body) {
        text = json_dump(body, false, &piece.len);
        piece.data = (const uint8_t *)text;
    }
    h->answer = out;
    h->sink = sink;
    h->streaming = h->sink_failed = h->done = false;
    err_clear(&h->err);
    buf_init_secret(&h->body, ANSWER_MAX);
    /* From the first request on, also between two: a job may be under way. */
    if (!uv_is_active((uv_handle_t *)&h->interrupt))
        uv_signal_start(&h->interrupt, on_interrupt, SIGINT);
    if (body && !text)
        err_set(&err, ERR_NOMEM, 0, "out of memory");
    if ((body && !text) ||
        http_start(h, method, path, &piece, &err) != ERR_OK) {
        out->err = err;
        out->exit = exit_of(err.code, EXIT_PEER_NONE);
    } else {
        if (h->interrupted)
            http_transfer_cancel(h->transfer);
        while (!h->done)
            loop_run(h->loop);
        http_finish(h, out);
    }
    buf_fini(&h->body);
    if (text)
        bytes_wipe(text, piece.len); /* it may hold a password */
    free(text);
}

void cli_http_ask(struct cli_http *h, const char *method, const char *path,
                  const struct json *body, struct cli_answer *out)
{
    cli_http_stream(h, method, path, body, NULL, out);
}

int cli_http_call(struct cli_run *run, const char *method, const char *path,
                  const struct json *body, struct json **out)
{
    struct cli_answer a;
    int exit;

    if (!path) {
        fprintf(stderr, "cairn: the request is too long\n");
        return EXIT_USAGE;
    }
    cli_http_ask(run->http, method, path, body, &a);
    exit = a.exit;
    if (exit != EXIT_OK) {
        cli_out_problem(run, &a);
    } else if (out) {
        *out = a.doc;
        a.doc = NULL;
    }
    cli_answer_fini(&a);
    return exit;
}

int cli_http_list(struct cli_run *run, const char *path, struct json **out)
{
    struct json *all = json_new_array();
    char cursor[512] = "";
    int exit;

    do {
        struct json *page = NULL;
        const struct json *items;
        struct buf full;

        buf_init(&full, 16 * 1024);
        buf_add_text(&full, path);
        cli_http_query(&full, "cursor", cursor[0] ? cursor : NULL);
        exit = cli_http_call(run, "GET", buf_text(&full), NULL, &page);
        buf_fini(&full);
        items = json_get(page, "items");
        for (size_t i = 0; i < json_count(items); i++)
            if (!json_append(all, json_clone(json_at(items, i))))
                exit = EXIT_FAILED;
        snprintf(cursor, sizeof(cursor), "%s",
                 json_text(json_get(page, "next"), ""));
        json_free(page);
    } while (exit == EXIT_OK && cursor[0]);
    if (exit == EXIT_OK)
        *out = all;
    else
        json_free(all);
    return exit;
}

static void add_encoded(struct buf *out, const char *text)
{
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz0123456789-._~";

    for (; *text; text++) {
        if (strchr(plain, *text))
            buf_add(out, text, 1);
        else
            buf_addf(out, "%%%02X", (unsigned char)*text);
    }
}

void cli_http_segment(struct buf *path, const char *text)
{
    buf_add_text(path, "/");
    add_encoded(path, text);
}

void cli_http_query(struct buf *path, const char *name, const char *value)
{
    if (!value)
        return;
    buf_add_text(path, memchr(path->data, '?', path->len) ? "&" : "?");
    buf_add_text(path, name);
    buf_add_text(path, "=");
    add_encoded(path, value);
}

const char *cli_http_path(struct buf *path, const char *before,
                          const char *segment, const char *behind)
{
    buf_add_text(path, before);
    cli_http_segment(path, segment);
    buf_add_text(path, behind);
    return buf_text(path);
}
