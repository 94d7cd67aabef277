/** The form of an image's name, as the configuration and the lists in keep-images.d may give it. */
export const imageName = /^[\w.\-/:@*]{1,500}$/;
