/* SPDX-License-Identifier: Apache-2.0 */
#include "restore/restore_site.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#include "base/buf.h"
#include "crypto/seal_keyfile.h"
#include "loop/work.h"
#include "store/store_dir.h"
#include "store/store_s3.h"
#include "vault/vault_open.h"

#define DISK_THREADS 2
#define QUEUE 256
#define CONNECTIONS 16
#define CA_MAX (1 * MIB)
#define LANE_WAIT_MS 5000

bool restore_site_fail(struct restore_site *site, const struct err *err,
                       enum exit_code exit)
{
    if (site->exit == EXIT_OK) {
        site->err = *err;
        site->exit = site->interrupted ? EXIT_INTERRUPTED : exit;
    }
    return false;
}

bool restore_site_fail_reading(struct restore_site *site, const struct err *err)
{
    enum exit_code exit = exit_of_err(err, EXIT_PEER_STORE);

    return restore_site_fail(site, err,
                             exit == EXIT_NOT_FOUND ? EXIT_DAMAGE : exit);
}

/* --- waiting -------------------------------------------------------------- */

void restore_site_done(struct restore_site *site, const struct err *err)
{
    site->err = *err;
    site->done = true;
    loop_stop(site->loop);
}

bool restore_site_wait(struct restore_site *site, void (*cancel)(void *op),
                       void *op)
{
    site->cancel = cancel;
    site->op = op;
    if (site->interrupted)
        cancel(op);
    while (!site->done)
        loop_run(site->loop);
    site->done = false;
    site->op = NULL;
    return site->err.code == ERR_OK;
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct restore_site *site = handle->data;

    (void)number;
    if (site->interrupted)
        _exit(EXIT_INTERRUPTED);
    site->interrupted = true;
    if (site->op)
        site->cancel(site->op);
}

static void on_signal_closed(uv_handle_t *handle)
{
    struct restore_site *site = handle->data;

    if (--site->signals_open == 0)
        loop_stop(site->loop);
}

static void watch_signals(struct restore_site *site)
{
    static const int numbers[2] = {SIGINT, SIGTERM};

    for (int i = 0; i < 2; i++) {
        if (uv_signal_init(loop_uv(site->loop), &site->signals[i]) < 0)
            continue;
        site->signals[i].data = site;
        site->signals_open++;
        uv_signal_start(&site->signals[i], on_signal, numbers[i]);
    }
}

static void unwatch_signals(struct restore_site *site)
{
    bool any = false;

    for (int i = 0; i < 2; i++)
        if (site->signals[i].data) {
            uv_close((uv_handle_t *)&site->signals[i], on_signal_closed);
            any = true;
        }
    if (any)
        loop_run(site->loop);
}

/* --- the store ------------------------------------------------------------ */

static enum err_code read_ca(const char *path, struct http_trust **out,
                             struct err *err)
{
    FILE *f = fopen(path, "rb");
    struct buf text;
    size_t n = 1;

    if (!f)
        return err_set(err, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, errno,
                       "%s: %s", path, strerror(errno));
    buf_init(&text, CA_MAX);
    while (n && !buf_failed(&text)) {
        uint8_t block[4096];

        n = fread(block, 1, sizeof(block), f);
        buf_add(&text, block, n);
    }
    fclose(f);
    if (buf_text(&text))
        http_trust_ca(buf_text(&text), out, err);
    else
        err_set(err, ERR_ARGUMENT, 0, "too long");
    buf_fini(&text);
    return *out ? ERR_OK : err_context(err, "%s", path);
}

static enum err_code open_folder(struct restore_site *site, const char *path,
                                 struct err *err)
{
    if (*path != '/')
        return err_set(err, ERR_ARGUMENT, 0,
                       "file://%s: the path must be absolute (file:///...)",
                       path);
    if (lane_new("disk", DISK_THREADS, QUEUE, &site->disk, err) != ERR_OK)
        return err->code;
    return store_dir_new(site->loop, path, site->disk, &site->store, err);
}

static enum err_code open_bucket(struct restore_site *site,
                                 const struct restore_args *args,
                                 struct err *err)
{
    bool tls = !args->endpoint || strncmp(args->endpoint, "http://", 7) != 0;
    struct s3_credentials credentials = {0};
    char bucket[256], prefix[801];
    struct store_s3_opts opts = {.prefix = prefix};
    enum err_code rc;

    if (!store_s3_parse_url(args->vault, bucket, prefix))
        return err_set(err, ERR_ARGUMENT, 0,
                       "%s: not of the form s3://bucket/prefix, with 3 or "
                       "more characters for the bucket",
                       args->vault);
    if (!args->credentials_file)
        return err_set(err, ERR_ARGUMENT, 0, "%s needs --credentials-file",
                       args->vault);
    rc = s3_credentials_load(args->credentials_file, NULL, &credentials, err);
    if (rc == ERR_OK && tls)
        rc = args->ca ? read_ca(args->ca, &site->trust, err)
                      : http_trust_system(&site->trust, err);
    if (rc == ERR_OK)
        rc = http_client_new(site->loop, CONNECTIONS, &site->client, err);
    opts.client = (struct s3_client_opts){
        .suite = site->suite,
        .endpoint = args->endpoint,
        .region = args->region,
        .bucket = bucket,
        .credentials = &credentials,
        .trust = site->trust,
    };
    if (rc == ERR_OK)
        rc = store_s3_new(site->loop, site->client, &opts, &site->store, err);
    s3_credentials_wipe(&credentials);
    return rc;
}

static enum err_code open_store(struct restore_site *site,
                                const struct restore_args *args,
                                struct err *err)
{
    if (strncmp(args->vault, "file://", 7) == 0)
        return open_folder(site, args->vault + 7, err);
    if (strncmp(args->vault, "s3://", 5) == 0)
        return open_bucket(site, args, err);
    return err_set(err, ERR_ARGUMENT, 0,
                   "%s: a vault's URL begins with file:/// or s3://",
                   args->vault);
}

/* --- the vault ------------------------------------------------------------ */

static void on_opened(void *ctx, const struct err *err,
                      const struct vault_opened *opened)
{
    struct restore_site *site = ctx;

    if (opened)
        site->keys = keyring_ref(opened->keys);
    restore_site_done(site, err);
}

static void cancel_open(void *op)
{
    vault_open_cancel(op);
}

static bool open_vault(struct restore_site *site, const char *key_file)
{
    struct vault_open_opts opts = {
        .store = site->store,
        .suite = site->suite,
        .slow = site->slow,
        .done = on_opened,
        .ctx = site,
    };
    struct seal_keyfile file = {0};
    struct vault_open *open;
    struct err err;

    if (seal_keyfile_load(key_file, &file, &err) != ERR_OK)
        return restore_site_fail(site, &err, EXIT_KEY);
    if (vault_open_keyfile(&opts, &file, &open, &err) != ERR_OK) {
        seal_keyfile_fini(&file);
        return restore_site_fail(site, &err, EXIT_FAILED);
    }
    seal_keyfile_fini(&file);
    if (restore_site_wait(site, cancel_open, open))
        return true;
    err = site->err;
    return restore_site_fail(site, &err, exit_of_err(&err, EXIT_PEER_VAULT));
}

/* --- both ends ------------------------------------------------------------ */

bool restore_site_init(struct restore_site *site,
                       const struct restore_args *args)
{
    struct err err = {0};

    memset(site, 0, sizeof(*site));
    work_setup();
    if (http_client_setup(&err) != ERR_OK ||
        seal_suite_new(&site->suite, &err) != ERR_OK ||
        loop_new("restore", NULL, &site->loop, &err) != ERR_OK ||
        lane_new("slow", 1, 4, &site->slow, &err) != ERR_OK ||
        lane_new("output", 1, QUEUE, &site->out, &err) != ERR_OK)
        return restore_site_fail(site, &err, EXIT_FAILED);
    watch_signals(site);
    if (open_store(site, args, &err) != ERR_OK)
        return restore_site_fail(site, &err,
                                 exit_of(err.code, EXIT_PEER_STORE));
    return open_vault(site, args->key_file);
}

void restore_site_fini(struct restore_site *site)
{
    keyring_unref(site->keys);
    store_free(site->store);
    if (site->client)
        http_client_free(site->client);
    if (site->trust)
        http_trust_drop(site->trust);
    if (site->loop)
        unwatch_signals(site);
    /* A lane that hangs is the end of the process, whatever it holds. */
    if (!lane_free(site->out, LANE_WAIT_MS) ||
        !lane_free(site->disk, LANE_WAIT_MS) ||
        !lane_free(site->slow, LANE_WAIT_MS))
        _exit(site->exit ? (int)site->exit : EXIT_FAILED);
    loop_free(site->loop);
    seal_suite_free(site->suite);
}
