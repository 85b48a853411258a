/* SPDX-License-Identifier: Apache-2.0 */
/*
 * tests/flow/ntfs_fill.c - fills an NTFS image with many small files, without
 * mounting it: ntfs_fill IMAGE FOLDERS FILES makes FOLDERS folders of FILES
 * files each, 0 to about 5,000 bytes long, by the library of ntfs-3g.
 */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <wchar.h>

/* The headers of ntfs-3g take these from its own configuration. */
#define HAVE_TIME_H 1
#define HAVE_STDARG_H 1
#define HAVE_STDDEF_H 1
#include <ntfs-3g/types.h>

#include <ntfs-3g/attrib.h>
#include <ntfs-3g/dir.h>
#include <ntfs-3g/unistr.h>
#include <ntfs-3g/volume.h>

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static ntfs_inode *make(ntfs_inode *in, char kind, unsigned number, mode_t type)
{
    ntfschar *wide = NULL;
    ntfs_inode *made;
    char name[16];
    int len;

    snprintf(name, sizeof(name), "%c%05u", kind, number);
    len = ntfs_mbstoucs(name, &wide);
    if (len < 0)
        die(name);
    made = ntfs_create(in, const_cpu_to_le32(0), wide, (u8)len, type);
    if (!made)
        die(name);
    free(wide);
    return made;
}

/* Closed by way of the folder, which is open: a file's size stands there too.
 */
static void fill(ntfs_inode *file, ntfs_inode *folder, const char *data,
                 s64 len)
{
    ntfs_attr *content = ntfs_attr_open(file, AT_DATA, AT_UNNAMED, 0);

    if (!content)
        die("the content of a file");
    if (len > 0 && ntfs_attr_pwrite(content, 0, len, data) != len)
        die("writing a file");
    ntfs_attr_close(content);
    if (ntfs_inode_close_in_dir(file, folder) != 0)
        die("closing a file");
}

int main(int argc, char **argv)
{
    static char data[8192];
    unsigned long folders, files;
    ntfs_volume *volume;
    ntfs_inode *root;

    if (argc != 4) {
        fputs("usage: ntfs_fill IMAGE FOLDERS FILES\n", stderr);
        return 2;
    }
    folders = strtoul(argv[2], NULL, 10);
    files = strtoul(argv[3], NULL, 10);
    volume = ntfs_mount(argv[1], NTFS_MNT_NONE);
    if (!volume)
        die(argv[1]);
    root = ntfs_inode_open(volume, FILE_root);
    if (!root)
        die("the root folder");
    for (unsigned i = 0; i < folders; i++) {
        ntfs_inode *folder = make(root, 'd', i, S_IFDIR);

        for (unsigned k = 0; k < files; k++) {
            for (size_t b = 0; b < sizeof(data); b++)
                data[b] = (char)((b * 31 + k) ^ (b >> 8) ^ i);
            fill(make(folder, 'f', k, S_IFREG), folder, data, k * 7 % 5000);
        }
        if (ntfs_inode_close_in_dir(folder, root) != 0)
            die("closing a folder");
    }
    if (ntfs_inode_close(root) != 0 || ntfs_umount(volume, FALSE) != 0)
        die("unmounting");
    return 0;
}
