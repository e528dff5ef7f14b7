/* df.c - how much of the disk is whose: `docker system df`. */
#include "engine/engine_private.h"
#include "schema/docker.h"

#include <fcntl.h>

static int df_images(struct engine *en, struct engine_df *ret, struct err *e)
{
	AUTO_LAYERS struct store_layers layers = { 0 };
	static const struct engine_filters none;
	int r = images_list(en, false, true, false, &none, &ret->images, &ret->n_images, e);

	store_layers(en->store, &layers);
	for (size_t i = 0; i < layers.n; i++)
		ret->layers_size += layers.v[i].size;
	return r;
}

static int64_t links(struct engine *en, const char *volume)
{
	AUTO_CONTAINERS struct container_set all = { 0 };
	int64_t n = 0;

	container_set(en, &all);
	for (size_t i = 0; i < all.n; i++)
		for (size_t k = 0; k < all.v[i]->rec.mounts.n; k++)
			if (streq(all.v[i]->rec.mounts.v[k].name, volume)) {
				n++;
				break;
			}
	return n;
}

static int df_volumes(struct engine *en, struct engine_df *ret, struct err *e)
{
	static const struct engine_filters none;
	int r = volumes_list(en, &none, &ret->volumes, &ret->n_volumes, e);

	for (size_t i = 0; r == 0 && i < ret->n_volumes; i++) {
		struct docker_volume *v = &ret->volumes[i];

		v->usage_data = xcalloc(1, sizeof *v->usage_data);
		v->usage_data->ref_count = links(en, v->name);
		v->usage_data->size = -1;
		(void)tree_bytes(AT_FDCWD, v->mountpoint, &v->usage_data->size);
	}
	return r;
}

int engine_df(struct engine *en, unsigned what, struct engine_df *ret, struct err *e)
{
	static const struct engine_filters none;
	struct container_list_opts every = { .all = true, .size = true, .filters = &none };
	int r = 0;

	if (what & ENGINE_DF_IMAGES)
		r = df_images(en, ret, e);
	if (r == 0 && what & ENGINE_DF_CONTAINERS)
		r = container_list(en, &every, &ret->containers, &ret->n_containers, e);
	if (r == 0 && what & ENGINE_DF_VOLUMES)
		r = df_volumes(en, ret, e);
	return r;
}

void engine_df_done(struct engine_df *d)
{
	for (size_t i = 0; i < d->n_images; i++)
		json_done(&docker_image_summary_type, &d->images[i]);
	for (size_t i = 0; i < d->n_containers; i++)
		json_done(&docker_container_summary_type, &d->containers[i]);
	for (size_t i = 0; i < d->n_volumes; i++)
		json_done(&docker_volume_type, &d->volumes[i]);
	free(d->images);
	free(d->containers);
	free(d->volumes);
	*d = (struct engine_df){ 0 };
}
