/* oci_image.c - the field tables of oci_image.h. */
#include "schema/oci_image.h"

JSON_TYPE(oci_health, OCI_HEALTH_FIELDS)
JSON_TYPE(oci_config, OCI_CONFIG_FIELDS)
JSON_TYPE(oci_rootfs, OCI_ROOTFS_FIELDS)
JSON_TYPE(oci_history, OCI_HISTORY_FIELDS)
JSON_TYPE(oci_image, OCI_IMAGE_FIELDS)
JSON_TYPE(oci_platform, OCI_PLATFORM_FIELDS)
JSON_TYPE(oci_descriptor, OCI_DESCRIPTOR_FIELDS)
JSON_TYPE(oci_manifest, OCI_MANIFEST_FIELDS)
JSON_TYPE(save_item, SAVE_ITEM_FIELDS)
JSON_TYPE(save_manifest, SAVE_MANIFEST_FIELDS)
