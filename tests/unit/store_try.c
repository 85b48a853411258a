/* SPDX-License-Identifier: Apache-2.0 */
#include "store_try.h"

#include <stdlib.h>
#include <string.h>

#include "loop/timer.h"

#define BYTES_MAX ((size_t)256 << 20)
#define WAIT_MS 60000

void store_try_init(struct store_try *t, struct store *s)
{
    memset(t, 0, sizeof(*t));
    t->store = s;
    buf_init(&t->bytes, BYTES_MAX);
}

void store_try_fini(struct store_try *t)
{
    buf_fini(&t->bytes);
}

static void again(struct store_try *t)
{
    buf_clear(&t->bytes);
    t->done = t->pieces = t->calls = 0;
    t->refused = false;
    err_clear(&t->err);
    memset(&t->info, 0, sizeof(t->info));
}

void store_try_on_done(void *ctx, const struct err *err,
                       const struct store_info *info)
{
    struct store_try *t = ctx;

    timer_stop(&t->timer);
    t->err = *err;
    t->info = *info;
    t->done++;
    loop_stop(t->store->loop);
}

void store_try_on_created(void *ctx, const struct err *err,
                          struct store_upload *up)
{
    struct store_try *t = ctx;

    t->err = *err;
    t->upload = up;
    t->done++;
    loop_stop(t->store->loop);
}

static void on_resume(struct timer *timer)
{
    struct store_try *t =
        (struct store_try *)((char *)timer - offsetof(struct store_try, timer));

    store_op_resume(t->op);
}

bool store_try_on_data(void *ctx, const uint8_t *data, size_t len)
{
    struct store_try *t = ctx;

    t->calls++;
    if (t->pause_every && t->calls % t->pause_every == 0 && !t->refused) {
        t->refused = true;
        timer_start(t->store->loop, &t->timer, 2, on_resume);
        return false;
    }
    t->refused = false;
    t->pieces++;
    if (!len || len > 256 * KIB || !buf_add(&t->bytes, data, len))
        abort();
    if (t->cancel_at && t->calls >= t->cancel_at)
        store_op_cancel(t->op);
    return true;
}

bool store_try_on_entry(void *ctx, const struct store_entry *entry)
{
    struct store_try *t = ctx;

    t->calls++;
    buf_addf(&t->bytes, "%s %ju\n", entry->name, (uintmax_t)entry->bytes);
    return !t->cancel_at || t->calls < t->cancel_at;
}

bool store_try_on_upload(void *ctx, const struct store_upload_entry *entry)
{
    struct store_try *t = ctx;

    snprintf(t->upload_id, sizeof(t->upload_id), "%s", entry->id);
    snprintf(t->upload_name, sizeof(t->upload_name), "%s", entry->name);
    return store_try_on_entry(ctx, &(struct store_entry){.name = entry->name});
}

struct deadline {
    struct timer timer;
    struct loop *loop;
    bool passed;
};

static void on_deadline(struct timer *timer)
{
    struct deadline *d = (struct deadline *)timer;

    d->passed = true;
    loop_stop(d->loop);
}

void store_try_wait(struct store_try *t, unsigned count)
{
    struct deadline d = {.loop = t->store->loop};

    timer_start(d.loop, &d.timer, WAIT_MS, on_deadline);
    while (t->done < count && !d.passed)
        loop_run(d.loop);
    timer_stop(&d.timer);
    if (d.passed) {
        fprintf(stderr, "store_try: waited in vain\n");
        abort();
    }
}

void store_try_turn(struct loop *loop, unsigned ms)
{
    struct deadline d = {.loop = loop};

    timer_start(loop, &d.timer, ms, on_deadline);
    while (!d.passed)
        loop_run(loop);
}

static enum err_code outcome(struct store_try *t, enum err_code rc)
{
    if (rc != ERR_OK)
        return rc;
    if (t->done)
        abort(); /* from inside the call */
    store_try_wait(t, 1);
    return t->err.code;
}

enum err_code store_try_put(struct store_try *t, const char *name,
                            const void *data, size_t len)
{
    struct slice halves[2] = {{data, len / 2},
                              {(const uint8_t *)data + len / 2, len - len / 2}};
    struct store_put_opts opts = {.name = name,
                                  .body = halves,
                                  .slices = 2,
                                  .done = store_try_on_done,
                                  .ctx = t};

    again(t);
    return outcome(t, store_put(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_get(struct store_try *t, const char *name,
                            struct store_range range)
{
    struct store_get_opts opts = {.name = name,
                                  .range = range,
                                  .on_data = store_try_on_data,
                                  .done = store_try_on_done,
                                  .ctx = t};

    again(t);
    return outcome(t, store_get(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_head(struct store_try *t, const char *name)
{
    struct store_name_opts opts = {name, store_try_on_done, t};

    again(t);
    return outcome(t, store_head(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_remove(struct store_try *t, const char *name)
{
    struct store_name_opts opts = {name, store_try_on_done, t};

    again(t);
    return outcome(t, store_remove(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_list(struct store_try *t, const char *prefix,
                             const char *start_after)
{
    struct store_list_opts opts = {.prefix = prefix,
                                   .start_after = start_after,
                                   .on_entry = store_try_on_entry,
                                   .done = store_try_on_done,
                                   .ctx = t};

    again(t);
    return outcome(t, store_list(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_list_uploads(struct store_try *t, const char *prefix)
{
    struct store_list_uploads_opts opts = {.prefix = prefix,
                                           .on_upload = store_try_on_upload,
                                           .done = store_try_on_done,
                                           .ctx = t};

    again(t);
    return outcome(t, store_list_uploads(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_create(struct store_try *t, const char *name)
{
    struct store_upload_opts opts = {
        .name = name, .created = store_try_on_created, .ctx = t};

    again(t);
    return outcome(t, store_upload_create(t->store, &opts, &t->op, &t->err));
}

enum err_code store_try_part(struct store_try *t, struct store_upload *up,
                             unsigned number, const void *data, size_t len)
{
    struct slice body = {data, len};
    struct store_part_opts opts = {.number = number,
                                   .body = &body,
                                   .slices = 1,
                                   .done = store_try_on_done,
                                   .ctx = t};

    again(t);
    return outcome(t, store_upload_part(up, &opts, &t->op, &t->err));
}

enum err_code store_try_complete(struct store_try *t, struct store_upload *up)
{
    again(t);
    return outcome(
        t, store_upload_complete(up, store_try_on_done, t, &t->op, &t->err));
}

enum err_code store_try_abort(struct store_try *t, struct store_upload *up)
{
    again(t);
    return outcome(
        t, store_upload_abort(up, store_try_on_done, t, &t->op, &t->err));
}
