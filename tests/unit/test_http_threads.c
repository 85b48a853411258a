/* SPDX-License-Identifier: Apache-2.0 */
/* Clients on several loops at once, which share their trusts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "net/http_client.h"
#include "tests/unit/net_peer.h"

#define LOOPS 3
#define ROUNDS 8

struct lane {
    struct mail begin;
    struct loop *loop;
    struct http_client *client;
    struct http_trust *ca, *show; /* shared */
    char url[60];
    unsigned rounds, believed, refused;
};

static void next(struct lane *l);

static void on_done(void *ctx, const struct err *err,
                    const struct http_response *r)
{
    struct lane *l = ctx;

    l->believed += err->code == ERR_OK && r->status == 200;
    l->refused += err->code == ERR_UNREACHABLE;
    if (++l->rounds < 2 * ROUNDS)
        next(l);
    else
        loop_stop(l->loop);
}

static void next(struct lane *l)
{
    struct http_transfer_opts opts = {.method = "GET",
                                      .url = l->url,
                                      .trust = l->rounds % 2 ? l->show : l->ca,
                                      .fresh = true,
                                      .total_ms = 60000,
                                      .done = on_done,
                                      .ctx = l};
    struct http_transfer *t;
    struct err err = {0};

    if (http_transfer_start(l->client, &opts, &t, &err) != ERR_OK)
        loop_stop(l->loop);
}

static void on_begin(struct mail *m)
{
    next((struct lane *)m);
}

static void play_ok(struct peer_conn *c)
{
    char head[4096];

    while (peer_head(c, head, sizeof(head)))
        peer_say(c, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
}

static void loops_share_their_trusts(void **state)
{
    struct peer_cert ca = peer_cert_new("our CA", true, NULL, -1, 1);
    struct peer_cert cert = peer_cert_new("127.0.0.1", false, &ca, -1, 1);
    SSL_CTX *tls = peer_tls(&cert);
    struct peer *p = peer_start(play_ok, NULL, tls);
    char *pem = peer_cert_pem(&ca);
    struct http_trust *trust = NULL, *show = NULL;
    struct lane lanes[LOOPS] = {0};
    uint8_t seen[32], want[32];
    struct err err = {0};

    (void)state;
    assert_int_equal(http_trust_ca(pem, &trust, &err), ERR_OK);
    assert_int_equal(http_trust_show(&show, &err), ERR_OK);
    for (int i = 0; i < LOOPS; i++) {
        struct lane *l = &lanes[i];

        assert_int_equal(loop_new("data", NULL, &l->loop, &err), ERR_OK);
        assert_int_equal(http_client_new(l->loop, 4, &l->client, &err), ERR_OK);
        l->ca = trust;
        l->show = show;
        snprintf(l->url, sizeof(l->url), "https://127.0.0.1:%u/", peer_port(p));
        l->begin.deliver = on_begin;
        assert_int_equal(loop_start_thread(l->loop, &err), ERR_OK);
        loop_send(l->loop, &l->begin);
    }
    for (int i = 0; i < LOOPS; i++)
        loop_join(lanes[i].loop);
    for (int i = 0; i < LOOPS; i++) {
        assert_int_equal(lanes[i].believed, ROUNDS);
        assert_int_equal(lanes[i].refused, ROUNDS);
        http_client_free(lanes[i].client);
        loop_free(lanes[i].loop);
    }
    assert_true(http_trust_seen(show, seen));
    peer_cert_sha256(&cert, want);
    assert_memory_equal(seen, want, 32);
    peer_stop(p);
    http_trust_drop(trust);
    http_trust_drop(show);
    SSL_CTX_free(tls);
    free(pem);
    peer_cert_free(&ca);
    peer_cert_free(&cert);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(loops_share_their_trusts),
    };
    struct err err = {0};

    if (http_client_setup(&err) != ERR_OK)
        return 1;
    return cmocka_run_group_tests(tests, NULL, NULL);
}
