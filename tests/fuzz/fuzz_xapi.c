/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a pool says: the first byte says as what the rest is read. Answers to
 * calls, values (which must come back as they were written), ova.xml (whose
 * rewriting must be readable), addresses, redirects, error pages.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/html.h"
#include "base/xml.h"
#include "base/xmlrpc.h"
#include "image/ova.h"
#include "xenapi/xenapi_route.h"
#include "xenapi/xenapi_rpc.h"

#define LIMIT ((size_t)1 << 20)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

static void must(bool truth)
{
    if (!truth)
        abort();
}

static void answer(const uint8_t *data, size_t len)
{
    struct xenapi_rpc_failure failure = {0};
    struct xmlrpc *value = NULL;
    struct err err = {0}, words = {0};

    if (xenapi_rpc_answer(data, len, LIMIT, &value, &failure, &err) != ERR_OK) {
        must(!value && !failure.list && err.code != ERR_OK);
        return;
    }
    must((value != NULL) != (failure.list != NULL));
    if (failure.list) {
        must(failure.code[0]);
        must(xenapi_rpc_err(&failure, &words) != ERR_OK);
    }
    xmlrpc_free(value);
    xenapi_rpc_failure_fini(&failure);
}

static void value(const uint8_t *data, size_t len)
{
    struct xmlrpc *first = NULL, *second = NULL;
    struct buf once, twice;
    struct err err = {0};

    if (xmlrpc_parse(data, len, LIMIT, &first, &err) != ERR_OK)
        return;
    buf_init(&once, 8 * LIMIT);
    buf_init(&twice, 8 * LIMIT);
    must(xmlrpc_write(first, &once));
    must(xmlrpc_parse(once.data, once.len, 8 * LIMIT, &second, &err) == ERR_OK);
    must(xmlrpc_write(second, &twice));
    must(once.len == twice.len && memcmp(once.data, twice.data, once.len) == 0);
    buf_fini(&once);
    buf_fini(&twice);
    xmlrpc_free(first);
    xmlrpc_free(second);
}

static void no_random(void *ctx, uint8_t *out, size_t len)
{
    memset(out, 7, len);
}

static void ova(const uint8_t *data, size_t len)
{
    static const struct ova_pair pairs[] = {{"a", "b"}, {"c", NULL}};
    const struct ova_rewrite_opts opts = {.name = "n",
                                          .block_start = "r",
                                          .other_config = pairs,
                                          .other_config_count = 2,
                                          .random = no_random};
    struct ova *first = NULL, *second = NULL;
    struct err err = {0};
    struct buf out;

    if (ova_parse(data, len, &first, &err) != ERR_OK)
        return;
    buf_init(&out, OVA_BYTES_MAX);
    must(ova_rewrite(first, &opts, &out, &err) == ERR_OK);
    must(ova_parse(out.data, out.len, &second, &err) == ERR_OK);
    must(ova_disk_count(first) == ova_disk_count(second));
    for (size_t i = 0; i < ova_disk_count(first); i++)
        must(strcmp(ova_disk(first, i)->id, ova_disk(second, i)->id) == 0);
    must(ova_nic_count(second) == 0);
    must(strcmp(ova_vm(second)->name, "n") == 0 &&
         !ova_vm(second)->is_template);
    buf_fini(&out);
    ova_free(first);
    ova_free(second);
}

static void texts(const uint8_t *data, size_t len)
{
    char *text = calloc(1, len + 1), out[50], host[XENAPI_ROUTE_HOST];
    char authority[XENAPI_ROUTE_AUTHORITY];
    unsigned port = 0;

    must(text != NULL);
    memcpy(text, data, len);
    if (xenapi_route_split(text, host, &port))
        must(host[0] && port <= 65535 && !strpbrk(host, "/ @[]"));
    if (xenapi_route_location(text, authority)) {
        must(authority[0] && !strpbrk(authority, "/?") &&
             strlen(authority) < sizeof(authority));
        if (xenapi_route_split(authority, host, &port))
            must(host[0] && port <= 65535 && !strpbrk(host, "/?#\\@[] "));
    }
    html_xapi_error(data, len, out, sizeof(out));
    must(strlen(out) < sizeof(out));
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static void (*const readers[])(const uint8_t *, size_t) = {answer, value,
                                                               ova, texts};
    static bool ready;

    if (!ready)
        xml_setup();
    ready = true;
    if (len > 0)
        readers[data[0] % 4](data + 1, len - 1);
    return 0;
}
