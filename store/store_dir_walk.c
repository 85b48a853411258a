/* SPDX-License-Identifier: Apache-2.0 */
#include "store/store_dir_walk.h"

#include <assert.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "store/store_dir_fs.h"

#define KEEP_DEFAULT 4096
#define PATH_BYTES STORE_DIR_FS_TMP_MAX

/* A folder under way. Its names carry a '/' at the end when they are folders,
 * so that plain comparison gives the order of the full names. */
struct level {
    DIR *dir;
    char **names;
    size_t count, at;
    bool more;             /* there are names behind names[count - 1] */
    char last[PATH_BYTES]; /* the last name of the batch before */
    size_t path_len;       /* of this folder in walk.path */
};

struct store_dir_walk {
    char prefix[PATH_BYTES];
    char start_after[PATH_BYTES];
    size_t keep;
    bool flat;             /* below tmp/ */
    char path[PATH_BYTES]; /* of what is being looked at */
    struct level levels[STORE_NAME_DEPTH];
    size_t depth;
};

static void drop_names(struct level *l)
{
    for (size_t i = 0; i < l->count; i++) {
        assert(l->names); /* or there were none to count */
        free(l->names[i]);
    }
    l->count = l->at = 0;
}

static void pop_level(struct store_dir_walk *w)
{
    struct level *l = &w->levels[--w->depth];

    drop_names(l);
    free(l->names);
    l->names = NULL;
    if (l->dir)
        closedir(l->dir);
    l->dir = NULL;
}

/* Takes the descriptor, also on failure. */
static enum err_code push_level(struct store_dir_walk *w, int fd,
                                size_t path_len, struct err *err)
{
    struct level *l = &w->levels[w->depth];

    memset(l, 0, sizeof(*l));
    l->dir = fdopendir(fd);
    l->names = calloc(2 * w->keep, sizeof(*l->names));
    l->path_len = path_len;
    l->more = true;
    w->depth++;
    if (l->dir && l->names)
        return ERR_OK;
    if (!l->dir)
        close(fd);
    pop_level(w);
    return err_set(err, ERR_NOMEM, 0, "listing");
}

enum err_code store_dir_walk_new(const struct store_dir_walk_opts *opts,
                                 struct store_dir_walk **out, struct err *err)
{
    const char *under = *opts->under ? opts->under : ".";
    struct store_dir_walk *w;
    enum err_code rc;
    int fd;

    w = calloc(1, sizeof(*w));
    if (!w)
        return err_set(err, ERR_NOMEM, 0, "listing");
    w->keep = opts->keep_max ? opts->keep_max : KEEP_DEFAULT;
    w->flat = *opts->under != 0;
    snprintf(w->prefix, sizeof(w->prefix), "%s", opts->prefix);
    if (opts->start_after)
        snprintf(w->start_after, sizeof(w->start_after), "%s",
                 opts->start_after);
    fd = openat(opts->root, under,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT && w->flat) {
        rc = ERR_OK; /* no tmp/ yet: nothing in it */
    } else if (fd < 0) {
        rc = store_dir_fs_error(err, errno, under, "list");
    } else {
        rc = push_level(w, fd, 0, err);
    }
    if (rc != ERR_OK) {
        store_dir_walk_free(w);
        return rc;
    }
    *out = w;
    return ERR_OK;
}

void store_dir_walk_free(struct store_dir_walk *w)
{
    if (!w)
        return;
    while (w->depth)
        pop_level(w);
    free(w);
}

static bool begins(const char *text, const char *with)
{
    return strncmp(text, with, strlen(with)) == 0;
}

/* Could this name, or one in this folder, be asked for? */
static bool is_wanted(const struct store_dir_walk *w, const char *full,
                      bool folder)
{
    bool after = strcmp(full, w->start_after) > 0;

    if (!folder)
        return begins(full, w->prefix) && after;
    return (begins(full, w->prefix) || begins(w->prefix, full)) &&
           (after || begins(w->start_after, full));
}

enum entry_kind { ENTRY_OTHER, ENTRY_FILE, ENTRY_FOLDER };

static enum entry_kind kind_of(int dir, const struct dirent *e)
{
    struct stat st;

    if (e->d_type == DT_REG)
        return ENTRY_FILE;
    if (e->d_type == DT_DIR)
        return ENTRY_FOLDER;
    if (e->d_type != DT_UNKNOWN ||
        fstatat(dir, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
        return ENTRY_OTHER;
    return S_ISREG(st.st_mode)   ? ENTRY_FILE
           : S_ISDIR(st.st_mode) ? ENTRY_FOLDER
                                 : ENTRY_OTHER;
}

/* The entry's name, with '/' if it is a folder; false: not one of ours. */
static bool entry_key(struct store_dir_walk *w, const struct level *l,
                      const struct dirent *e, char key[PATH_BYTES])
{
    enum entry_kind kind;
    char *tail = w->path + l->path_len;
    int n;

    if (e->d_name[0] == '.')
        return false;
    kind = kind_of(dirfd(l->dir), e);
    if (kind == ENTRY_OTHER || (kind == ENTRY_FOLDER && w->flat))
        return false;
    n = snprintf(key, PATH_BYTES, "%s%s", e->d_name,
                 kind == ENTRY_FOLDER ? "/" : "");
    if (n >= PATH_BYTES || (size_t)n >= PATH_BYTES - l->path_len)
        return false;
    memcpy(tail, e->d_name, strlen(e->d_name) + 1);
    if (!w->flat && !store_name_ok(w->path))
        return false;
    if (kind == ENTRY_FOLDER && w->depth == STORE_NAME_DEPTH)
        return false; /* no name is that deep */
    memcpy(tail, key, (size_t)n + 1);
    return is_wanted(w, w->path, kind == ENTRY_FOLDER);
}

static int by_name(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

/* Keep the smallest names, forget the others. */
static void shrink(struct store_dir_walk *w, struct level *l)
{
    qsort(l->names, l->count, sizeof(*l->names), by_name);
    while (l->count > w->keep) {
        free(l->names[--l->count]);
        l->more = true;
    }
}

/* The next batch of a folder's names. */
static enum err_code refill(struct store_dir_walk *w, struct level *l,
                            struct err *err)
{
    char key[PATH_BYTES];
    struct dirent *e;

    if (l->count)
        snprintf(l->last, sizeof(l->last), "%s", l->names[l->count - 1]);
    drop_names(l);
    l->more = false;
    rewinddir(l->dir);
    while (errno = 0, (e = readdir(l->dir))) {
        if (!entry_key(w, l, e, key) || strcmp(key, l->last) <= 0)
            continue;
        l->names[l->count] = strdup(key);
        if (!l->names[l->count])
            return err_set(err, ERR_NOMEM, 0, "listing");
        if (++l->count == 2 * w->keep)
            shrink(w, l);
    }
    if (errno) {
        w->path[l->path_len] = 0;
        return store_dir_fs_error(err, errno, w->path, "list");
    }
    shrink(w, l);
    return ERR_OK;
}

static enum err_code enter(struct store_dir_walk *w, const struct level *l,
                           const char *key, struct err *err)
{
    char part[PATH_BYTES];
    size_t len = strlen(key) - 1; /* without its '/' */
    int fd;

    memcpy(part, key, len);
    part[len] = 0;
    fd = openat(dirfd(l->dir), part,
                O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
    if (fd < 0 && (errno == ENOENT || errno == ENOTDIR || errno == ELOOP))
        return ERR_OK; /* gone since */
    if (fd < 0)
        return store_dir_fs_error(err, errno, w->path, "list");
    return push_level(w, fd, strlen(w->path), err);
}

enum err_code store_dir_walk_next(struct store_dir_walk *w, const char **name,
                                  struct stat *st, bool *more, struct err *err)
{
    enum err_code rc = ERR_OK;

    *more = false;
    while (rc == ERR_OK && w->depth) {
        struct level *l = &w->levels[w->depth - 1];
        const char *key;

        if (l->at == l->count) {
            if (l->more)
                rc = refill(w, l, err);
            else
                pop_level(w);
            continue;
        }
        key = l->names[l->at++];
        memcpy(w->path + l->path_len, key, strlen(key) + 1);
        if (key[strlen(key) - 1] == '/') {
            rc = enter(w, l, key, err);
        } else if (fstatat(dirfd(l->dir), key, st, AT_SYMLINK_NOFOLLOW) < 0) {
            if (errno != ENOENT)
                rc = store_dir_fs_error(err, errno, w->path, "stat");
        } else if (S_ISREG(st->st_mode)) {
            *name = w->path;
            *more = true;
            return ERR_OK;
        }
    }
    return rc;
}
